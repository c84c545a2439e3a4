//! From a task file's text to a [`Task`], or to the list of everything that is wrong with it.

use super::languages::{LANGUAGES, distance};
use super::quoted;
use super::task::{Shot, Task, TaskLanguage};
use super::template::{Template, is_name};
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a task file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as given.
    pub origin: String,
    /// From 1, in characters; 0 and 0 where the whole file is meant.
    pub line: usize,
    pub column: usize,
    /// The key's path, as in `languages.zh.labels`; may be empty.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

type Value<'t> = Spanned<DeValue<'t>>;
const TOP: [&str; 7] = ["id", "description", "labels", "fields", "separator", "styles", "languages"];
const LANGUAGE: [&str; 4] = ["item", "labels", "also", "shots"];

/// The task, or all faults in the file's order.
pub(super) fn task(text: &str, origin: &str) -> Result<Task, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, origin, faults: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in &errors {
            reader.fault(error.span(), "", format!("it is not TOML: {}", error.message()));
        }
        return Err(reader.faults);
    }
    let task = reader.task(table.get_ref());
    let mut faults = reader.faults;
    faults.sort_by_key(|fault| (fault.line, fault.column));
    match task {
        Some(task) if faults.is_empty() => Ok(task),
        _ => Err(faults),
    }
}

struct Reader<'t> {
    text: &'t str,
    origin: &'t str,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    fn fault(&mut self, span: Option<Range<usize>>, key: &str, message: impl Into<String>) {
        let (line, column) = match span.and_then(|span| self.text.get(..span.start)) {
            Some(before) => {
                let start = before.rfind('\n').map_or(0, |at| at + 1);
                (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
            }
            None => (0, 0),
        };
        let (origin, key, message) = (self.origin.to_owned(), key.to_owned(), message.into());
        self.faults.push(Fault { origin, line, column, key, message });
    }

    fn task(&mut self, top: &DeTable<'t>) -> Option<Task> {
        self.unknown_keys(top, "", &TOP);
        let id = self.required(top, "", "id", "a short name, as in id = \"sentiment\"");
        let id = id.and_then(|value| self.string(value, "id")).inspect(|(id, span)| {
            if id.is_empty()
                || id.len() > 64
                || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            {
                self.fault(Some(span.clone()), "id", "it must be 1 to 64 letters, digits, - or _");
            }
        });
        let description = top.get("description").and_then(|value| self.string(value, "description"));
        let description = description.map(|(text, _)| text);
        let labels =
            self.required(top, "", "labels", "the canonical labels, as in [\"positive\", \"negative\"]");
        let labels = labels.and_then(|value| self.names(value, "labels", 2));
        let fields = self.required(top, "", "fields", "the columns of an item, as in [\"input\"]");
        let fields = fields.and_then(|value| {
            let fields = self.names(value, "fields", 1)?;
            for field in fields.iter().filter(|field| !is_name(field) || *field == "answer") {
                let rule = "a field is named by letters, digits and _, and answer is always there";
                self.fault(Some(value.span()), "fields", format!("{field:?} cannot be a field: {rule}"));
            }
            Some(fields)
        });
        let separator = match top.get("separator") {
            Some(value) => self.string(value, "separator").map(|(text, _)| text),
            None => Some("\n".to_owned()),
        };
        let languages = self.required(top, "", "languages", "at least one table, as in [languages.en]");
        // Without labels and fields nothing below could be judged.
        let (labels, fields) = (labels?, fields?);
        let agnostic = top.get("styles").and_then(|value| self.styles(value, &labels));
        let languages = languages.and_then(|value| self.languages(value, &labels, &fields));
        Some(Task {
            id: id?.0,
            description,
            labels,
            fields,
            separator: separator?,
            agnostic,
            languages: languages?,
        })
    }

    fn styles(&mut self, value: &Value<'t>, labels: &[String]) -> Option<Vec<String>> {
        let table = self.table(value, "styles")?;
        for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != "agnostic") {
            let message =
                "only [styles.agnostic] is stated: english is the labels, same each language's own words";
            self.fault(Some(value.span()), &format!("styles.{}", key.get_ref()), message);
        }
        self.words(table.get("agnostic")?, "styles.agnostic", labels)
    }

    fn languages(
        &mut self,
        value: &Value<'t>,
        labels: &[String],
        fields: &[String],
    ) -> Option<Vec<TaskLanguage>> {
        let table = self.table(value, "languages")?;
        if table.is_empty() {
            self.fault(Some(value.span()), "languages", "it is empty: add a table such as [languages.en]");
        }
        let mut languages = Vec::new();
        for (key, value) in table {
            let code = key.get_ref();
            let path = format!("languages.{code}");
            if !(2..=8).contains(&code.len()) || !code.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
                let near = LANGUAGES.iter().find(|l| {
                    [l.name, l.own].iter().any(|name| name.eq_ignore_ascii_case(code))
                        || l.code.eq_ignore_ascii_case(code)
                });
                let hint = near.map_or("as en or zh".to_owned(), |l| format!("here {}", l.code));
                self.fault(
                    Some(key.span()),
                    &path,
                    format!("a language is named by its code in small letters, {hint}"),
                );
            }
            let Some(table) = self.table(value, &path) else { continue };
            languages.extend(self.language(code, table, value.span(), labels, fields));
        }
        Some(languages)
    }

    fn language(
        &mut self,
        code: &str,
        table: &DeTable<'t>,
        span: Range<usize>,
        labels: &[String],
        fields: &[String],
    ) -> Option<TaskLanguage> {
        let path = format!("languages.{code}");
        self.unknown_keys(table, &path, &LANGUAGE);
        let example = "the item's text, as in \"Review: {input}\\nSentiment: \\\"{answer}\\\"\"";
        let item = self.required_at(table, &path, "item", example, span.clone());
        let item = item.and_then(|value| {
            let key = format!("{path}.item");
            let (text, span) = self.string(value, &key)?;
            let parsed = Template::parse(&text, fields);
            parsed
                .map_err(|faults| faults.into_iter().for_each(|f| self.fault(Some(span.clone()), &key, f)))
                .ok()
        });
        let words = self.required_at(table, &path, "labels", "the language's word for each label", span);
        let words = words.and_then(|value| self.words(value, &format!("{path}.labels"), labels));
        let also = match table.get("also") {
            Some(value) => self.also(value, &format!("{path}.also"), labels),
            None => Some(vec![Vec::new(); labels.len()]),
        };
        let shots = match table.get("shots") {
            Some(value) => self.shots(value, &format!("{path}.shots"), labels, words.as_deref(), fields),
            None => Some(Vec::new()),
        };
        Some(TaskLanguage { code: code.to_owned(), item: item?, words: words?, also: also?, shots: shots? })
    }

    fn shots(
        &mut self,
        value: &Value<'t>,
        path: &str,
        labels: &[String],
        words: Option<&[String]>,
        fields: &[String],
    ) -> Option<Vec<Shot>> {
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong_type(value, path, "a list of tables");
        };
        let mut shots = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(table) = self.table(value, &path) else { continue };
            let keys: Vec<&str> = fields.iter().map(String::as_str).chain(["answer"]).collect();
            self.unknown_keys(table, &path, &keys);
            let mut texts = Vec::new();
            for key in &keys {
                let found = self.required_at(table, &path, key, "a text", value.span());
                texts.extend(found.and_then(|value| self.string(value, &format!("{path}.{key}"))));
            }
            let Some(((answer, span), values)) = texts.split_last().filter(|_| texts.len() == keys.len())
            else {
                continue;
            };
            let place = |list: &[String]| list.iter().position(|word| word == answer);
            match place(labels).or_else(|| place(words?)) {
                Some(label) => {
                    shots.push(Shot { values: values.iter().map(|(text, _)| text.clone()).collect(), label });
                }
                None => {
                    let known = labels.join(", ");
                    let message = format!(
                        "{} is none of the labels ({known}) nor the language's word for one",
                        quoted(answer)
                    );
                    self.fault(Some(span.clone()), &format!("{path}.answer"), message);
                }
            }
        }
        Some(shots)
    }

    /// A table label -> list of further answers that items may name it by.
    fn also(&mut self, value: &Value<'t>, path: &str, labels: &[String]) -> Option<Vec<Vec<String>>> {
        let table = self.table(value, path)?;
        let keys: Vec<&str> = labels.iter().map(String::as_str).collect();
        self.unknown_keys(table, path, &keys);
        let mut all: Vec<Vec<String>> = Vec::new();
        for label in keys {
            let key = format!("{path}.{label}");
            let words = match table.get(label) {
                Some(value) => self.names(value, &key, 1)?,
                None => Vec::new(),
            };
            if let Some(word) = words.iter().find(|w| all.iter().flatten().any(|other| other == *w)) {
                let message =
                    format!("{} stands for two labels: an item's answer would be unclear", quoted(word));
                self.fault(table.get(label).map(Spanned::span), &key, message);
            }
            all.push(words);
        }
        Some(all)
    }

    /// A table label -> word, complete, without strangers, no word for two labels.
    fn words(&mut self, value: &Value<'t>, path: &str, labels: &[String]) -> Option<Vec<String>> {
        let table = self.table(value, path)?;
        let keys: Vec<&str> = labels.iter().map(String::as_str).collect();
        self.unknown_keys(table, path, &keys);
        let mut words: Vec<String> = Vec::new();
        for (index, label) in keys.iter().enumerate() {
            let key = format!("{path}.{label}");
            let Some(value) = self.required_at(table, path, label, "a word", value.span()) else { continue };
            let Some((word, span)) = self.string(value, &key) else { continue };
            let other = labels.iter().position(|other| *other == word).filter(|other| *other != index);
            if word.trim() != word || word.is_empty() {
                self.fault(Some(span), &key, "a word must not be empty nor begin or end with a space");
            } else if words.contains(&word) {
                self.fault(
                    Some(span),
                    &key,
                    format!("{} is the word for two labels: they could not be told apart", quoted(&word)),
                );
            } else if let Some(other) = other {
                let message = format!(
                    "{} is also the label {:?}: an item's answer would be unclear",
                    quoted(&word),
                    labels[other]
                );
                self.fault(Some(span), &key, message);
            }
            words.push(word);
        }
        (words.len() == labels.len()).then_some(words)
    }

    /// A list of at least `least` distinct names.
    fn names(&mut self, value: &Value<'t>, path: &str, least: usize) -> Option<Vec<String>> {
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong_type(value, path, "a list of texts");
        };
        let mut names: Vec<String> = Vec::new();
        for value in list.iter() {
            let (name, span) = self.string(value, path)?;
            if name.is_empty() || name.trim() != name || names.contains(&name) {
                self.fault(
                    Some(span),
                    path,
                    format!("{} is empty, has a space at an end, or stands twice", quoted(&name)),
                );
            }
            names.push(name);
        }
        if names.len() < least {
            self.fault(Some(value.span()), path, format!("it needs at least {least} entries"));
            return None;
        }
        Some(names)
    }

    fn required<'v>(
        &mut self,
        table: &'v DeTable<'t>,
        path: &str,
        key: &str,
        what: &str,
    ) -> Option<&'v Value<'t>> {
        self.required_at(table, path, key, what, 0..0)
    }

    fn required_at<'v>(
        &mut self,
        table: &'v DeTable<'t>,
        path: &str,
        key: &str,
        what: &str,
        span: Range<usize>,
    ) -> Option<&'v Value<'t>> {
        let found = table.get(key);
        if found.is_none() {
            self.fault(Some(span), path, format!("{key} is missing: {what}"));
        }
        found
    }

    fn string(&mut self, value: &Value<'t>, path: &str) -> Option<(String, Range<usize>)> {
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), value.span())),
            None => self.wrong_type(value, path, "a text in quotes"),
        }
    }

    fn table<'v>(&mut self, value: &'v Value<'t>, path: &str) -> Option<&'v DeTable<'t>> {
        match value.get_ref().as_table() {
            Some(table) => Some(table),
            None => self.wrong_type(value, path, "a table"),
        }
    }

    fn wrong_type<T>(&mut self, value: &Value<'t>, path: &str, wanted: &str) -> Option<T> {
        let found = value.get_ref().type_str();
        self.fault(Some(value.span()), path, format!("it must be {wanted}, and is of the type {found}"));
        None
    }

    fn unknown_keys(&mut self, table: &DeTable<'t>, path: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let near = known.iter().min_by_key(|known| distance(known, key.get_ref()));
            let near = near.filter(|near| distance(near, key.get_ref()) <= 2);
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.fault(Some(key.span()), path, format!("{:?} is not known; {hint}", key.get_ref()));
        }
    }
}
