//! An item's template: text with `{field}` and one `{answer}`.
//!
//! It is cut into parts once. Values are put in beside each other and never looked into again, so that an item's
//! text that happens to hold "{answer}" stays what it is.

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
    /// Which part is the answer.
    answer: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// Index into the task's fields.
    Field(usize),
    Answer,
}

impl Template {
    /// Cuts a template at its fields. `Err` lists all that is wrong, a sentence each.
    pub(super) fn parse(text: &str, fields: &[String]) -> Result<Self, Vec<String>> {
        let (mut parts, mut faults) = (Vec::new(), Vec::new());
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            plain.push_str(&rest[..open]);
            let inner = &rest[open + 1..];
            let name = inner.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            let part = name.and_then(|name| match name {
                "answer" => Some(Part::Answer),
                _ => fields.iter().position(|field| field == name).map(Part::Field),
            });
            rest = match (name, part) {
                (Some(name), Some(part)) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part);
                    &inner[name.len() + 1..]
                }
                (name, _) => {
                    if let Some(name) = name {
                        faults.push(format!(
                            "{{{name}}} is not a field of this task; the fields are {}, and answer",
                            fields.join(", ")
                        ));
                    }
                    plain.push('{');
                    inner
                }
            };
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        let answer = parts.iter().position(|part| *part == Part::Answer).unwrap_or(parts.len());
        match parts.iter().filter(|part| **part == Part::Answer).count() {
            0 => faults.push("{answer} is missing: the query is the item cut before it".into()),
            1 => {}
            n => faults.push(format!("{{answer}} stands {n} times; it must stand once")),
        }
        for (index, field) in fields.iter().enumerate() {
            if !parts[..answer].contains(&Part::Field(index)) {
                faults.push(format!("{{{field}}} is not before {{answer}}, so that no query would show it"));
            }
        }
        if faults.is_empty() { Ok(Self { parts, answer }) } else { Err(faults) }
    }

    /// A whole item with its answer word: a shot. `values` are parallel to the task's fields.
    pub fn shot(&self, values: &[String], answer: &str) -> String {
        self.fill(&self.parts, values, answer)
    }

    /// The item cut before its answer: what the model has to continue.
    pub fn query(&self, values: &[String]) -> String {
        self.fill(&self.parts[..self.answer], values, "")
    }

    /// What stands before the first field in every item.
    pub fn head(&self) -> String {
        let fixed = self.parts.iter().take_while(|part| matches!(part, Part::Text(_))).count();
        self.fill(&self.parts[..fixed], &[], "")
    }

    fn fill(&self, parts: &[Part], values: &[String], answer: &str) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(index) => values.get(*index).cloned().unwrap_or_default(),
            Part::Answer => answer.to_owned(),
        };
        parts.iter().map(text).collect()
    }
}

/// A field's name: a letter or `_`, then letters, digits, `_`.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Template, Vec<String>> {
        Template::parse(text, &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn values_are_put_in_once_and_never_looked_into() {
        let t = template("{ {a}{b} {x y} {}: \"{answer}\"!").unwrap();
        let values = ["{answer}".to_owned(), "{a}".to_owned()];
        assert_eq!(t.query(&values), "{ {answer}{a} {x y} {}: \"");
        assert_eq!(t.shot(&values, "{b}"), "{ {answer}{a} {x y} {}: \"{b}\"!");
        assert_eq!(t.head(), "{ ");
    }

    #[test]
    fn all_faults_are_listed() {
        let faults = template("{c} {a} {answer} {answer} {b}").unwrap_err();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].contains("{c}") && faults[1].contains("2 times") && faults[2].contains("{b}"));
        assert!(template("{a}{b}").unwrap_err()[0].contains("{answer} is missing"));
    }
}
