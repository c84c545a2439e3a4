//! `polylens sessions verify`: does the model say what the recording says that it said?

use crate::cli::args::{Model, Output};
use crate::cli::console::{Console, print, stdout_width};
use crate::cli::load::{self, Loaded};
use crate::error::{Error, Result};
use crate::report::table::{Align, Table};
use crate::session::shipped;
use crate::session::verify::{Options, Tally, Tolerance, Verified, verify};
use clap::Args;
use serde_json::json;

#[derive(Args, Debug)]
pub struct Verify {
    /// Session file, or the name of one that comes with the program
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    model: Model,
    /// Largest difference of a probability
    #[arg(long, value_name = "P", default_value_t = Tolerance::default().absolute, value_parser = positive)]
    tolerance: f64,
    /// Largest difference of any other number, as a share of it
    #[arg(long, value_name = "SHARE", default_value_t = Tolerance::default().relative, value_parser = positive)]
    relative: f64,
    /// Only the first N answers
    #[arg(long, value_name = "N")]
    first: Option<u64>,
    /// Make the first N steps of each training again, where its data are here
    #[arg(long, value_name = "N", default_value_t = 0)]
    steps: u64,
    /// Compare with a model that is not the recording's: its hash is only reported
    #[arg(long)]
    other_model: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// No progress bar and no notes on stderr
    #[arg(long, short)]
    quiet: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err("it must be a number above 0".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// The recording is damaged or not confirmed; what loading and computing say; Interrupted.
pub fn run(args: &Verify) -> Result<()> {
    let file = shipped::find(&args.file)?;
    let output = Output { json: args.json, out: None, quiet: args.quiet, log: None };
    let mut console = Console::open(&output)?;
    let Loaded { engine, .. } = load::open(&args.model, &mut console)?;
    let tolerance = Tolerance { absolute: args.tolerance, relative: args.relative };
    let (first, steps, other_model) = (args.first, args.steps, args.other_model);
    let options = Options { tolerance, first, steps, other_model };
    let cancel = console.cancel.clone();
    let verified = verify(&file, &engine, options, &cancel, &mut |s, d, t, u| console.progress(s, d, t, u))?;
    drop(console);
    if args.json {
        let document = json!({
            "schema": "polylens.sessions-verify/1", "file": args.file, "confirmed": verified.passed(),
            "tolerance": tolerance, "result": verified,
        });
        print(&format!("{document:#}\n"))?;
    } else {
        print(&text(&verified))?;
    }
    match why_not(&verified, args.other_model) {
        None => Ok(()),
        Some(why) => Err(Error::failed(format!("{} is not confirmed: {why}", args.file))),
    }
}

/// Why a recording is not confirmed; `None` where it is.
fn why_not(v: &Verified, other_model: bool) -> Option<String> {
    if v.passed() {
        return None;
    }
    let beyond: u64 = v.kinds.iter().map(|(_, t)| t.beyond).sum();
    Some(if v.model.same() == Some(false) && !other_model {
        format!(
            "it was recorded with other weights of {} ({}) than these ({}); --other-model compares all the same",
            v.model.name,
            short(&v.model.recorded),
            short(&v.model.here)
        )
    } else if v.numbers() == 0 && beyond == 0 {
        "nothing in it could be compared".into()
    } else {
        format!("{beyond} of {} numbers differ by more than the tolerance", v.numbers())
    })
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn text(v: &Verified) -> String {
    let mut out = match v.model.same() {
        Some(true) => format!("model {}: the recording's weights ({})\n", v.model.name, short(&v.model.here)),
        Some(false) => format!(
            "model {}: OTHER weights ({} recorded, {} here)\n",
            v.model.name,
            short(&v.model.recorded),
            short(&v.model.here)
        ),
        None => format!("model {}: the recording does not say which weights these were\n", v.model.name),
    };
    let columns = [
        ("kind", Align::Left),
        ("answers", Align::Right),
        ("numbers", Align::Right),
        ("", Align::Left),
        ("largest difference", Align::Left),
    ];
    let mut table = Table::new(columns);
    for (name, tally) in &v.kinds {
        let sign = if tally.passed() { "ok" } else { "BEYOND" };
        table.row([
            name.clone(),
            tally.answers.to_string(),
            tally.numbers.to_string(),
            sign.to_owned(),
            worst(tally),
        ]);
    }
    if !table.is_empty() {
        out += &table.text(stdout_width().max(160));
    }
    for mismatch in v.kinds.iter().flat_map(|(_, t)| &t.mismatches) {
        out += &format!("differs: {mismatch}\n");
    }
    for (what, n) in &v.skipped {
        out += &format!("not verified: {n} {what}\n");
    }
    for missing in &v.missing {
        out += &format!("missing: {missing}; name it with --adapter\n");
    }
    for note in &v.notes {
        out += &format!("note: {note}\n");
    }
    out
}

fn worst(tally: &Tally) -> String {
    let Some(w) = &tally.worst else { return String::new() };
    match w.difference == 0.0 {
        true => "none".into(),
        false => format!(
            "{:.2e} ({:.0} % of the tolerance) at line {}, {}: {:.6} recorded, {:.6} computed",
            w.difference,
            100.0 * w.of_tolerance,
            w.line,
            w.place,
            w.recorded,
            w.computed
        ),
    }
}
