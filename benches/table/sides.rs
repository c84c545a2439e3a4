//! The number formats that are compared: our engine in each, the reference beside it.

use crate::common::{Beside, load_as, reference};
use crate::times::largest;
use polylens::engine::Engine;
use std::collections::BTreeMap;

/// One number format on both sides.
pub struct Side {
    pub dtype: &'static str,
    /// Whether its row is wanted; f32 is always there, for its results.
    pub timed: bool,
    pub engine: Engine,
    pub reference: Option<Beside>,
}

/// torch's name of a format.
pub fn torch(dtype: &str) -> &'static str {
    if dtype == "bf16" { "bfloat16" } else { "float32" }
}

/// f32 first, then what else is asked for.
pub fn open(dtypes: &[&'static str]) -> Result<Vec<Side>, String> {
    let mut all = vec![("f32", dtypes.contains(&"f32"))];
    all.extend(dtypes.iter().filter(|d| **d != "f32").map(|d| (*d, true)));
    let open = |(dtype, timed): (&'static str, bool)| {
        let mut command = reference("reference.py")?;
        if let Some(command) = &mut command {
            command.args(["--dtype", torch(dtype)]);
        }
        let reference = command.map(Beside::start).transpose()?;
        Ok(Side { dtype, timed, engine: load_as(dtype)?, reference })
    };
    all.into_iter().map(open).collect()
}

/// Numbers by what they belong to (an item, a layer of a lens).
pub type Found = BTreeMap<usize, Vec<f64>>;

/// What a format gave on both sides.
#[derive(Default)]
pub struct Given {
    pub ours: Found,
    pub theirs: Found,
}

/// How far results are from those of f32 arithmetic.
#[derive(Clone, Copy)]
pub struct Apart {
    /// Ours from the reference's f32 and from our own.
    pub ours: f64,
    /// The reference's from its own f32; `None` where that is what is compared with.
    pub theirs: Option<f64>,
}

/// Of every format, the first being f32.
///
/// # Errors
/// Where both sides' f32 results are more than `limit` apart, or have nothing in common.
pub fn apart(
    given: &[Given],
    limit: f64,
    compare: impl Fn(&Found, &Found) -> f64,
) -> Result<Vec<Apart>, String> {
    let f32 = &given[0];
    let all: Vec<Apart> = given
        .iter()
        .enumerate()
        .map(|(i, g)| {
            let there = !f32.theirs.is_empty();
            let from_theirs = there.then(|| compare(&g.ours, &f32.theirs));
            let from_ours = (i > 0).then(|| compare(&g.ours, &f32.ours));
            let theirs = (i > 0 && there).then(|| compare(&g.theirs, &f32.theirs));
            Apart { ours: largest(from_theirs.into_iter().chain(from_ours)), theirs }
        })
        .collect();
    if all[0].ours > limit || all.iter().any(|a| a.ours.is_nan()) {
        return Err(format!("the sides differ by {:e}: not the same model or prompts", all[0].ours));
    }
    Ok(all)
}

/// The largest difference of two numbers; NaN where nothing belongs to the same.
pub fn plainly(a: &Found, b: &Found) -> f64 {
    let both = a.iter().filter_map(|(k, x)| b.get(k).map(|y| (x, y)));
    let differences: Vec<f64> = both.flat_map(|(x, y)| x.iter().zip(y).map(|(x, y)| (x - y).abs())).collect();
    if differences.is_empty() { f64::NAN } else { largest(differences) }
}
