//! The model card: what was trained on what, how, and what came of it.

use super::history::{Progress, clock};
use super::record::Record;
use crate::engine::protocol::{TrainEnd, TrainOutcome, TrainPlan};
use serde_json::Value;

/// Lines of the table of losses.
const ROWS: usize = 40;

/// README.md of a run's directory.
pub fn card(record: &Record, plan: &TrainPlan, progress: &Progress, outcome: &TrainOutcome) -> String {
    let (model, s) = (&record.model, &record.settings);
    let mut text = String::new();
    let mut put = |line: String| text.extend([line.as_str(), "\n"]);
    put(format!(
        "---\nbase_model: {}\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- lora\n\
         - question-translation-alignment\n---\n\n# LoRA adapter for {}\n",
        Value::from(model.base.as_str()),
        model.name
    ));
    put(format!(
        "Trained by question-translation alignment (the questions of the source languages are translated, no answer is \
         ever seen) with polylens {}. {}\n",
        record.polylens,
        ended(outcome)
    ));
    put("## Use\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n"
        .into());
    put(format!(
        "base = AutoModelForCausalLM.from_pretrained({})\nmodel = PeftModel.from_pretrained(base, \"path/to/this/directory\")\n```\n",
        Value::from(model.base.as_str())
    ));
    put("In polylens: `--adapter path/to/this/directory`.".into());
    if outcome.best.is_some() {
        put("`best/` holds the adapter with the least validation loss.".into());
    }
    put("\n## Base model\n\n| | |\n|---|---|".into());
    put(format!("| name | {} |", cell(&model.name)));
    put(format!(
        "| SHA-256 of its files | `{}` |",
        if model.sha256.is_empty() { "unknown" } else { &model.sha256 }
    ));
    put(format!("| number format while training | {} |", model.dtype));
    if let Some(dir) = &record.init_adapter {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        put(format!("| began from the adapter | {} |", cell(&name)));
    }
    put("\n## Data\n\n| file | rows | SHA-256 |\n|---|---:|---|".into());
    for file in &record.files {
        put(format!("| {} | {} | `{}` |", cell(&base_name(&file.name)), file.rows, file.sha256));
    }
    put(format!(
        "\n{} samples trained on ({} tokens an epoch, {} of them in the loss), {} held out; {} cut at {} tokens.",
        plan.samples, plan.tokens, plan.answer_tokens, plan.held_out, plan.cut, s.cutoff
    ));
    put("\n## Settings\n\n| setting | value |\n|---|---|".into());
    if let Ok(Value::Object(all)) = serde_json::to_value(s) {
        for (key, value) in all {
            put(format!("| {key} | {} |", shown(&value)));
        }
    }
    put(format!(
        "\n{} trained numbers; AdamW (betas 0.9, 0.999, eps 1e-8); {} steps an epoch, {} warm-up steps.",
        plan.parameters, plan.steps_per_epoch, plan.warmup_steps
    ));
    put("\n## Losses\n\nMean negative log-likelihood (nats) of an answer token.\n".into());
    losses(progress, &mut put);
    put("\n## Cost\n".into());
    put(format!(
        "{} of computing, {:.0} tokens a second, {:.0} MB of memory at most, {} threads.",
        clock(outcome.elapsed_s),
        outcome.tokens_per_s,
        outcome.peak_memory_bytes as f64 / 1e6,
        model.threads
    ));
    text
}

fn ended(outcome: &TrainOutcome) -> String {
    let steps = format!("{} of {} steps", outcome.steps, outcome.total_steps);
    match outcome.end {
        TrainEnd::Early => {
            format!("{steps}: it ended early, as the validation loss did not get better any more.")
        }
        TrainEnd::Stopped | TrainEnd::Discarded => format!("{steps}: it was stopped."),
        TrainEnd::Finished => format!("{steps}."),
    }
}

/// The logged losses; of many, some evenly chosen ones and the last.
fn losses(progress: &Progress, put: &mut impl FnMut(String)) {
    let all = &progress.history;
    if all.is_empty() {
        return put("None was logged.".into());
    }
    put("| step | loss | validation loss | learning rate |\n|---:|---:|---:|---:|".into());
    let every = all.len().div_ceil(ROWS).max(1);
    for (i, entry) in all.iter().enumerate() {
        let wanted = (all.len() - 1 - i).is_multiple_of(every)
            || entry.get("eval_loss").is_some() && all.len() <= 4 * ROWS;
        if !wanted {
            continue;
        }
        let number = |key: &str| entry[key].as_f64().map_or_else(String::new, |x| format!("{x:.4}"));
        let rate = entry["learning_rate"].as_f64().map_or_else(String::new, |x| format!("{x:.2e}"));
        put(format!("| {} | {} | {} | {rate} |", entry["step"], number("loss"), number("eval_loss")));
    }
    if every > 1 {
        put("\nEvery logged step is in trainer_log.jsonl.".into());
    }
}

/// A card travels: it names files, no machine's directories.
fn base_name(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or(name).to_owned()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(s) => cell(s),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Text inside a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
