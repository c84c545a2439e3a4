//! From a task and its items to an evaluation plan.

use crate::engine::protocol::{EvalItem, EvalLang, EvalPlan, Protocol, Score, Style};
use crate::error::Result;
use crate::tasks::{Row, Task, TaskLanguage, prompt};

/// What stands in all columns of the content-free queries, one query each (Zhao et al. 2021, "Calibrate Before Use").
pub const FREE_TEXTS: [&str; 3] = ["N/A", "[MASK]", ""];

/// The plan of an evaluation: every prompt in full, in the order of `langs`.
///
/// # Errors
/// As [`Task::words`].
pub fn plan(
    task: &Task,
    langs: &[(&TaskLanguage, Vec<Row>)],
    style: Style,
    protocol: Protocol,
    score: Score,
) -> Result<EvalPlan> {
    let of = |(language, rows): &(&TaskLanguage, Vec<Row>)| {
        let filled = |text: &str| language.item.query(&vec![text.to_owned(); task.fields.len()]);
        let item = |row: &Row| EvalItem {
            index: row.index,
            text: language.item.query(&row.values),
            gold: row.label,
            values: row.values.clone(),
        };
        Ok(EvalLang {
            lang: language.code.clone(),
            prefix: prompt::prefix(task, language, style)?,
            head: language.item.head(),
            words: task.words(language, style)?.to_vec(),
            items: rows.iter().map(item).collect(),
            free: FREE_TEXTS.iter().map(|text| filled(text)).collect(),
        })
    };
    Ok(EvalPlan {
        task: task.id.clone(),
        labels: task.labels.clone(),
        fields: task.fields.clone(),
        style,
        protocol,
        score,
        langs: langs.iter().map(of).collect::<Result<_>>()?,
    })
}
