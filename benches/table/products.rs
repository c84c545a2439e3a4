//! Matrix products of a large model's shape, as a share of what the processor's vector instructions reach on registers
//! alone.

use crate::common::setting;
use crate::show::{Goal, Row, Table};
use crate::sides::Side;
use crate::times::median;
use polylens::model::format::Format;
use polylens::model::kernels::Mat;
use polylens::model::peak::Peaks;
use polylens::model::product::{Product, Shape, weight};
use serde_json::json;

const SHAPE: Shape = Shape { tokens: 150, inp: 4096, out: 14336 };
const TRIES: usize = 7;

/// A kind of product: its name, the weights, and which share of the peak should be reached.
struct Kind {
    name: &'static str,
    dtype: &'static str,
    format: Format,
    rounds: bool,
    goal: Goal,
}

const KINDS: [Kind; 3] = [
    Kind { name: "f32 weights", dtype: "f32", format: Format::F32, rounds: false, goal: Goal::Share(0.8) },
    Kind {
        name: "bf16 weights, f32 arithmetic",
        dtype: "bf16",
        format: Format::Bf16,
        rounds: false,
        goal: Goal::Share(0.8),
    },
    Kind {
        name: "bf16 arithmetic",
        dtype: "bf16",
        format: Format::Bf16,
        rounds: true,
        goal: Goal::Share(0.75),
    },
];

pub fn rows(sides: &mut [Side], table: &mut Table) -> Result<Vec<Row>, String> {
    let threads = setting("POLYLENS_BENCH_THREADS", 2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string())?;
    let peaks = Peaks::measure(&pool);
    let show = |flops: f64| format!("{:.0} GFLOP/s", flops / 1e9);
    let mut said = format!("peak on registers: f32 {} ({})", show(peaks.f32.flops), peaks.f32.name);
    for rate in [peaks.bf16, peaks.tiles].into_iter().flatten() {
        said += &format!(", {} ({})", show(rate.flops), rate.name);
    }
    table.note(format!("{said}; memory read {:.1} GB/s", peaks.read / 1e9));
    let x = Mat::from_tokens(
        SHAPE.inp,
        SHAPE.tokens,
        &polylens::model::product::numbers(SHAPE.inp * SHAPE.tokens),
    );
    let mut rows = Vec::new();
    for kind in &KINDS {
        let Some(side) = sides.iter_mut().find(|s| s.timed && s.dtype == kind.dtype) else { continue };
        let w = weight(kind.format, SHAPE.out, SHAPE.inp).ok_or("rows of no whole blocks")?;
        let w = if kind.rounds { w.rounding() } else { w };
        let mut product = Product::new(&w, &x);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let request =
            json!({"what": "matmul", "m": SHAPE.tokens, "k": SHAPE.inp, "n": SHAPE.out, "repeat": TRIES});
        for round in 0..3 {
            // The first of each round reads what the other side has pushed out of the caches.
            ours.extend((0..=TRIES).map(|_| product.seconds(&pool)).skip(1));
            if let Some(reference) = &mut side.reference
                && round < 2
            {
                let (ms, _) = reference.ask(&request)?;
                theirs.push(ms / 1e3);
            }
        }
        let ours = median(ours);
        // The yardstick is what the vector instructions for this arithmetic reach. Tiles reach more: their share, and
        // that of memory, are told below the table.
        let vectors = peaks.bf16.filter(|_| w.rounds).unwrap_or(peaks.f32);
        if w.rounds {
            let share = |least: f64| format!("{:.0} %", 100.0 * least / ours);
            let tiles = peaks.tiles.map_or(String::new(), |t| {
                format!("{} of the tiles' peak, ", share(SHAPE.flops() / t.flops))
            });
            table.note(format!(
                "products, {}: the share is of the peak of {}; {tiles}{} of what reading the weights allows",
                kind.name,
                vectors.name,
                share(w.bytes().len() as f64 / peaks.read)
            ));
        }
        let theirs = (!theirs.is_empty()).then(|| SHAPE.flops() / median(theirs));
        rows.push(Row {
            work: format!("products {SHAPE}, {}", kind.name),
            dtype: kind.dtype,
            ours: show(SHAPE.flops() / ours),
            theirs: theirs.map(show),
            ratio: Some(SHAPE.flops() / vectors.flops / ours),
            goal: kind.goal,
            apart: None,
        });
    }
    Ok(rows)
}
