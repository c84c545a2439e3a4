//! `polylens tasks list | show ID | check FILE`.

use super::args::{Tasks, TasksAction};
use super::{console, prompts};
use crate::engine::protocol::{Protocol, Style};
use crate::error::{Error, Result};
use crate::report::curves::style_name;
use crate::report::json;
use crate::report::table::{Align, Table};
use crate::tasks::{self, BUNDLED, Source, Task};
use serde::Serialize;
use std::path::Path;

/// Runs the command.
///
/// # Errors
/// Unknown tasks and languages; for `check`, Failed with all faults.
pub fn run(args: Tasks) -> Result<()> {
    match args.action {
        TasksAction::List { json } => list(json),
        TasksAction::Show { task, lang, style, json } => show(&task, lang.as_deref(), style, json),
        TasksAction::Check { task, items, langs, model } => {
            check(&task, items.as_deref(), &langs, model.as_deref())
        }
    }
}

#[derive(Serialize)]
struct Listed {
    id: String,
    labels: Vec<String>,
    fields: Vec<String>,
    langs: Vec<String>,
    /// Bundled items in each language.
    items: usize,
}

fn list(as_json: bool) -> Result<()> {
    let mut listed = Vec::new();
    for bundled in &BUNDLED {
        let (task, items) = (bundled.task()?, bundled.count()?);
        let langs = task.languages.iter().map(|l| l.code.clone()).collect();
        listed.push(Listed { id: task.id, labels: task.labels, fields: task.fields, langs, items });
    }
    if as_json {
        #[derive(Serialize)]
        struct Document {
            schema: &'static str,
            tasks: Vec<Listed>,
        }
        return console::print(&json::document(&Document { schema: "polylens.tasks/1", tasks: listed })?);
    }
    let columns =
        [("task", Align::Left), ("labels", Align::Left), ("items", Align::Right), ("languages", Align::Left)];
    let mut table = Table::new(columns);
    for t in &listed {
        table.row([t.id.clone(), t.labels.join(", "), t.items.to_string(), t.langs.join(" ")]);
    }
    console::print(&table.text(console::stdout_width()))
}

#[derive(Serialize)]
struct Shown<'a> {
    schema: &'static str,
    id: &'a str,
    labels: &'a [String],
    fields: &'a [String],
    agnostic: &'a Option<Vec<String>>,
    words: json::Ordered<&'a str, &'a [String]>,
    lang: &'a str,
    style: &'static str,
    prompt: &'a str,
}

fn show(name: &str, lang: Option<&str>, style: Style, as_json: bool) -> Result<()> {
    let source = Source::find(name)?;
    let task = &source.task;
    let language = match (lang, task.languages.first()) {
        (Some(lang), _) => task.language(lang)?,
        (None, Some(first)) => first,
        (None, None) => return Err(Error::Failed(format!("the task {name} has no languages"))),
    };
    let prompt = example(&source, &language.code, style)?;
    if as_json {
        let words = task.languages.iter().map(|l| (l.code.as_str(), l.words.as_slice())).collect();
        return console::print(&json::document(&Shown {
            schema: "polylens.task/1",
            id: &task.id,
            labels: &task.labels,
            fields: &task.fields,
            agnostic: &task.agnostic,
            words: json::Ordered(words),
            lang: &language.code,
            style: style_name(style),
            prompt: &prompt,
        })?);
    }
    let columns = std::iter::once("lang".to_owned()).chain(task.labels.iter().cloned());
    let mut table = Table::new(columns.map(|c| (c, Align::Left)));
    for l in &task.languages {
        table.row(std::iter::once(l.code.clone()).chain(l.words.iter().cloned()));
    }
    let agnostic = match &task.agnostic {
        Some(words) => format!("agnostic words: {}\n", words.join(", ")),
        None => String::new(),
    };
    console::print(&format!(
        "{}: fields {}\n{agnostic}\n{}\nA prompt ({}, style {}):\n\n{prompt}\n",
        task.id,
        task.fields.join(", "),
        table.text(console::stdout_width()),
        language.code,
        style_name(style)
    ))
}

/// The whole prompt of the first bundled item, or of an item whose fields hold their names.
fn example(source: &Source, code: &str, style: Style) -> Result<String> {
    let task = &source.task;
    let language = task.language(code)?;
    let values = match source.rows(language, None, Some(1)) {
        Ok(rows) => rows.into_iter().next().map(|row| row.values),
        // A task of the user's own brings no items.
        Err(_) => None,
    };
    let values = values.unwrap_or_else(|| task.fields.iter().map(|f| format!("[{f}]")).collect());
    Ok(tasks::prompt::prefix(task, language, style)? + &language.item.query(&values))
}

/// Faults of one file that are shown; the rest is counted.
const SHOWN: usize = 40;

fn check(name: &str, items: Option<&str>, langs: &str, model: Option<&str>) -> Result<()> {
    let path = Path::new(name);
    let is_bundled = BUNDLED.iter().any(|b| b.id == name);
    if path.exists() || !is_bundled {
        let faults = tasks::check(&Task::file_text(path)?, name);
        refuse(name, faults.iter().map(ToString::to_string).collect())?;
    }
    let source = Source::find(name)?;
    let task = &source.task;
    let mut out = format!(
        "{name}: {} with {} labels in {} languages, no faults\n",
        task.id,
        task.labels.len(),
        task.languages.len()
    );
    let mut faults = Vec::new();
    if let Some(template) = items {
        let languages = prompts::languages(task, langs)?;
        tasks::items::check_template(template, languages.len())?;
        for language in languages {
            let file = tasks::items::path_of(template, &language.code);
            let (sound, wrong) = tasks::items::check(task, language, &file)?;
            if wrong.is_empty() {
                out += &format!("{}: {sound} items in {}, no faults\n", file.display(), language.code);
            }
            faults.extend(wrong);
        }
    }
    refuse(items.unwrap_or(name), faults)?;
    if let Some(model) = model {
        out += &words_in(task, langs, model)?;
    }
    console::print(&out)
}

/// Fails where there are faults, with a line for each.
fn refuse(what: &str, mut faults: Vec<String>) -> Result<()> {
    let n = faults.len();
    if n == 0 {
        return Ok(());
    }
    let noun = if n == 1 { "fault" } else { "faults" };
    faults.truncate(SHOWN);
    let more = if n > SHOWN { format!("\n… and {} more", n - SHOWN) } else { String::new() };
    Err(Error::Failed(format!("{what} has {n} {noun}\n{}{more}", faults.join("\n"))))
}

/// What a model's vocabulary makes of the label words: a warning for every collision, and for every word without a
/// token of its own.
fn words_in(task: &Task, langs: &str, model: &str) -> Result<String> {
    let cancel = super::interrupt::cancel();
    let found = crate::hub::resolve(model, &mut |_, _, _, _| {}, &cancel, true)?;
    let tokenizer = crate::engine::load::tokenizer(&found.path)?;
    let mut warnings: Vec<String> = Vec::new();
    let mut checked = 0;
    for language in prompts::languages(task, langs)? {
        for style in [Style::English, Style::Same, Style::Agnostic] {
            let Ok(words) = task.words(language, style) else { continue };
            let sets = tasks::sets::label_sets(&tokenizer, words, Protocol::Default)?;
            checked += 1;
            for sentence in sets.warnings.into_iter().chain(sets.refused) {
                // English and agnostic words are the same in all languages.
                let place = if style == Style::Same { language.code.as_str() } else { style_name(style) };
                let line = format!("{place}: {sentence}");
                if !warnings.contains(&line) {
                    warnings.push(line);
                }
            }
        }
    }
    Ok(match warnings.len() {
        0 => format!("{}: all labels can be told apart in {checked} sets of words\n", found.name),
        n => format!("{}: {n} warnings\n{}\n", found.name, warnings.join("\n")),
    })
}
