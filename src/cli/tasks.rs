use super::args::Tasks;
pub fn run(args: Tasks) -> crate::Result<()> {
    let _ = args;
    Ok(())
}
