//! LoRA training, r = 8 on q and v, 16 rows a step as 4 x 4: the same rows through all sides, a step each in turn.

use crate::common::{reference, setting};
use crate::show::{Goal, Row, Table};
use crate::sides::{Apart, torch};
use crate::times::{largest, median};
use crate::training::{Side, adapter, data};

/// One side, and the format that it is in.
struct Runner {
    dtype: &'static str,
    side: Side,
}

/// The reference as everybody runs it (logits of all positions), and with the answers' positions alone.
const WAYS: [&str; 2] = ["all", "answers"];

impl Runner {
    fn rate(&self) -> f64 {
        median(self.side.steps.iter().map(|s| 1e3 * s.tokens / s.ms))
    }

    /// The largest difference of a loss, or of a gradient's norm relative to it.
    fn apart(&self, other: &Self) -> f64 {
        let both = || self.side.steps.iter().zip(&other.side.steps);
        let losses = both().map(|(a, b)| (a.loss - b.loss).abs());
        largest(losses.chain(both().map(|(a, b)| (a.grad_norm / b.grad_norm - 1.0).abs())))
    }

    fn peak(&self) -> f64 {
        self.side.steps.last().map_or(f64::NAN, |s| s.peak)
    }
}

pub fn rows(dtypes: &[&'static str], table: &mut Table) -> Result<Vec<Row>, String> {
    let out = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut runners = Vec::new();
    for dtype in dtypes {
        let side = Side::ours(dtype, out.path())?;
        table.note(format!("LoRA training, {dtype}: {}", side.process.versions));
        runners.push(Runner { dtype, side });
        for way in WAYS {
            if let Some(mut command) = reference("train.py")? {
                command.arg(data()?).arg(adapter()?).args([way, torch(dtype)]);
                runners.push(Runner { dtype, side: Side::new(way.to_owned(), command, false)? });
            }
        }
    }
    for step in 0..setting("POLYLENS_BENCH_STEPS", 2) {
        // Another one begins each time.
        for turn in 0..runners.len() {
            let at = (turn + step) % runners.len();
            runners[at].side.step()?;
        }
    }
    let all: Vec<&Runner> = runners.iter().collect();
    let of = |dtype: &str, way: &str| all.iter().find(|r| r.dtype == dtype && r.side.name == way).copied();
    let mut rows = Vec::new();
    for ours in all.iter().filter(|r| r.side.ours) {
        let truth = of("f32", WAYS[0]).or_else(|| of(ours.dtype, WAYS[0]));
        for (way, name) in
            WAYS.iter().zip(["LoRA training, all positions' loss", "  answers' positions alone"])
        {
            let theirs = of(ours.dtype, way);
            let apart = truth.map(|t| Apart {
                ours: ours.apart(t),
                theirs: theirs.filter(|_| ours.dtype != "f32").map(|r| r.apart(t)),
            });
            if let Some(a) = apart.filter(|a| ours.dtype == "f32" && (a.ours.is_nan() || a.ours > 1e-3)) {
                return Err(format!(
                    "the losses differ by {:e}: not the same model, rows or adapter",
                    a.ours
                ));
            }
            let goal = if ours.dtype == "f32" { 2.5 } else { 2.0 };
            rows.push(Row {
                work: name.into(),
                dtype: ours.dtype,
                ours: format!("{:.0} tok/s", ours.rate()),
                theirs: theirs.map(|r| format!("{:.0} tok/s", r.rate())),
                ratio: theirs.map(|r| ours.rate() / r.rate()),
                goal: if *way == WAYS[0] { Goal::AtLeast(goal) } else { Goal::None },
                apart,
            });
        }
    }
    for r in &all {
        let name = if r.side.ours { "polylens" } else { &r.side.name };
        table.note(format!("LoRA training, {} {name}: peak memory {:.2} GB", r.dtype, r.peak() / 1e9));
    }
    table.note(
        "LoRA training: the difference is of a step's loss, or of its gradient's norm relative to it.".into(),
    );
    Ok(rows)
}
