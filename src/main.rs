//! The `polylens` program; everything is in the library.

fn main() -> std::process::ExitCode {
    polylens::cli::main()
}
