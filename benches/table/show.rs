//! The table: rows, what they are measured against, and what is said below it.

use crate::common::setting;
use crate::sides::{Apart, Side};
use std::time::Instant;

/// What a ratio should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// A share of the peak, as a fraction.
    Share(f64),
    /// Shown for comparison.
    None,
}

/// One kind of work in one format.
pub struct Row {
    pub work: String,
    pub dtype: &'static str,
    pub ours: String,
    pub theirs: Option<String>,
    /// The reference's time divided by ours; of memory ours divided by the reference's; or a share.
    pub ratio: Option<f64>,
    pub goal: Goal,
    pub apart: Option<Apart>,
}

impl Row {
    fn reached(&self) -> Option<bool> {
        let ratio = self.ratio?;
        match self.goal {
            Goal::AtLeast(g) | Goal::Share(g) => Some(ratio >= g),
            Goal::AtMost(g) => Some(ratio <= g),
            Goal::None => None,
        }
    }

    fn cells(&self) -> [String; 8] {
        let share = |x: f64| format!("{:.0} %", x * 100.0);
        let ratio = self.ratio.map_or("-".into(), |r| match self.goal {
            Goal::Share(_) => share(r),
            _ => format!("{r:.2} x"),
        });
        let goal = match self.goal {
            Goal::AtLeast(g) => format!(">= {g} x"),
            Goal::AtMost(g) => format!("<= {g} x"),
            Goal::Share(g) => format!(">= {}", share(g)),
            Goal::None => "-".into(),
        };
        let reached = self.reached().map_or("-", |r| if r { "yes" } else { "NO" }).to_owned();
        let apart = self.apart.map_or("-".into(), |a| match a.theirs {
            None => format!("{:.1e}", a.ours),
            Some(theirs) => format!("{:.1e} (reference {theirs:.1e})", a.ours),
        });
        let theirs = self.theirs.clone().unwrap_or_else(|| "-".into());
        [self.work.clone(), self.dtype.into(), self.ours.clone(), theirs, ratio, goal, reached, apart]
    }
}

const HEAD: [&str; 8] =
    ["work", "format", "polylens", "reference", "ratio", "goal", "reached", "largest difference"];

/// Rows and notes as they come.
pub struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
    head: String,
}

impl Table {
    pub fn new() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().filter(|n| !n.is_empty()).unwrap_or("unknown").to_owned();
        let head = format!(
            "{}, {} of {} threads, {}; load before: {load}",
            processor(),
            setting("POLYLENS_BENCH_THREADS", 2),
            std::thread::available_parallelism().map_or(1, usize::from),
            polylens::model::kernels::name(),
        );
        Self { rows: Vec::new(), notes: Vec::new(), head }
    }

    /// Names and versions of what is compared.
    pub fn note_sides(&mut self, sides: &[Side]) {
        for side in sides {
            let info = side.engine.info();
            let theirs = side.reference.as_ref().map_or("no reference", |r| r.versions.as_str());
            self.notes.push(format!(
                "{}: polylens {} with {} as {}; {theirs}",
                side.dtype,
                env!("CARGO_PKG_VERSION"),
                info.name,
                info.dtype
            ));
        }
    }

    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Rows that have just been measured; shown at once, since the whole takes minutes.
    pub fn add(&mut self, rows: Vec<Row>, start: Instant) {
        for row in &rows {
            eprintln!("  {}", row.cells().join(" | "));
        }
        eprintln!("  ({:.0} s)", start.elapsed().as_secs_f64());
        self.rows.extend(rows);
    }

    /// Whether no goal was missed.
    pub fn reached(&self) -> bool {
        self.rows.iter().all(|r| r.reached() != Some(false))
    }

    pub fn print(&self) {
        let cells: Vec<[String; 8]> = self.rows.iter().map(Row::cells).collect();
        let width =
            |c: usize| cells.iter().map(|r| r[c].chars().count()).chain([HEAD[c].len()]).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        let line = |row: &[String]| {
            let cell = |(c, text): (usize, &String)| match c {
                0 | 1 | 7 => format!("{text:<w$}", w = widths[c]),
                _ => format!("{text:>w$}", w = widths[c]),
            };
            row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        println!("\n{}", self.head);
        println!("{}", line(&HEAD.map(str::to_owned)));
        println!("{}", "-".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1)));
        cells.iter().for_each(|row| println!("{}", line(row)));
        println!("\nratio: the reference's time / ours for the same result; memory: ours / the reference's.");
        println!(
            "largest difference: from f32 results (of the reference, and our own), of a probability unless said."
        );
        self.notes.iter().for_each(|n| println!("{n}"));
    }
}

/// The processor's name, as the system tells it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("model name"));
    let name = line.and_then(|l| l.split_once(':')).map(|(_, n)| n.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
