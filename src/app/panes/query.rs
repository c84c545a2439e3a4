//! The query: task, language, item, style, or free text; composed into what the engine is asked.

use crate::app::Action;
use crate::app::editor::{Edit, Editor};
use crate::app::keys::{Key, KeyInput};
use crate::app::shared::{Cx, MouseKind, Pane, PaneMouse, Shared};
use crate::engine::protocol::{Query, Style};
use std::time::Duration;

/// Typing is answered this long after the last key.
pub const DEBOUNCE: Duration = Duration::from_millis(80);

/// Where the prompt comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// An item of the task, with its few-shot prefix; its text may be edited.
    #[default]
    Item,
    /// Any typed prompt.
    Free,
}

/// The lines of the pane that can be selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field {
    Task,
    #[default]
    Language,
    Item,
    Style,
    Definitions,
    Prompt,
    Sets,
}

impl Field {
    /// All lines from the top.
    pub const ALL: [Self; 7] =
        [Self::Task, Self::Language, Self::Item, Self::Style, Self::Definitions, Self::Prompt, Self::Sets];

    /// The first lines are one row each; the others are sections.
    pub const ROWS: u16 = 5;
}

/// State of the pane.
#[derive(Clone, Debug)]
pub struct QueryPane {
    pub source: Source,
    pub free: Editor,
    /// The item's text as changed by the user; `None` while it is the item's own.
    pub edited: Option<Editor>,
    pub editing: bool,
    pub field: Field,
    pub sets_open: bool,
    /// Words to follow in a free text.
    pub track: Vec<String>,
    /// When something was typed that the engine was not asked about yet.
    pub typed_at: Option<Duration>,
    /// Why the prompt could not be made.
    pub error: Option<String>,
    /// Rows the prompt is scrolled up from its end.
    pub scroll: usize,
    /// Columns that the prompt is wrapped at, as the layout has it.
    pub columns: usize,
}

impl Default for QueryPane {
    fn default() -> Self {
        Self {
            source: Source::Item,
            free: Editor::new("", true),
            edited: None,
            editing: false,
            field: Field::default(),
            sets_open: false,
            track: Vec::new(),
            typed_at: None,
            error: None,
            scroll: 0,
            columns: 40,
        }
    }
}

impl QueryPane {
    /// The query that the pane's state means.
    ///
    /// # Errors
    /// A sentence: the task, the language or the item is not there.
    pub fn compose(&self, shared: &Shared) -> Result<Query, String> {
        if self.source == Source::Free {
            let text = self.free.text().to_owned();
            return Ok(Query { text, track: self.track.clone(), ..Query::default() });
        }
        let mut query =
            shared.library.query(&shared.task, &shared.lang, shared.item, shared.style, shared.protocol)?;
        if let Some(edited) = &self.edited {
            query.text = edited.text().to_owned();
        }
        query.track.extend(self.track.iter().cloned());
        Ok(query)
    }

    /// The field that is being edited, or would be.
    pub fn editor(&self) -> Option<&Editor> {
        match self.source {
            Source::Free => Some(&self.free),
            Source::Item => self.edited.as_ref(),
        }
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        match self.source {
            Source::Free => Some(&mut self.free),
            Source::Item => self.edited.as_mut(),
        }
    }

    /// Starts editing the prompt.
    pub fn edit(&mut self, shared: &Shared) {
        if self.source == Source::Item && self.edited.is_none() {
            self.edited = Some(Editor::new(&shared.query.text, true));
        }
        self.field = Field::Prompt;
        self.scroll = 0;
        self.editing = true;
    }

    /// Ends editing; an item's text left as it was counts as not edited.
    pub fn end_edit(&mut self, shared: &Shared) {
        self.editing = false;
        let own =
            shared.library.query(&shared.task, &shared.lang, shared.item, shared.style, shared.protocol);
        if let (Some(edited), Ok(own)) = (&self.edited, own)
            && edited.text() == own.text
        {
            self.edited = None;
        }
    }

    /// A key while editing; true if it was taken.
    pub fn type_key(&mut self, key: KeyInput, now: Duration) -> bool {
        let columns = self.columns;
        let Some(editor) = self.editor_mut() else { return false };
        let edit = if key.key == Key::Enter {
            editor.insert("\n");
            Edit::Changed
        } else {
            editor.key(key, columns)
        };
        if edit == Edit::Changed {
            self.typed_at = Some(now);
        }
        edit != Edit::Ignored
    }

    /// Pasted text: into the prompt that is being edited, else it becomes the free text.
    pub fn paste(&mut self, text: &str, now: Duration) {
        if !self.editing {
            self.source = Source::Free;
            self.free.set("");
            self.field = Field::Prompt;
        }
        if let Some(editor) = self.editor_mut() {
            editor.insert(text);
            self.typed_at = Some(now);
        }
    }

    /// Forgets the edited text: another item or language was chosen.
    pub fn reset_text(&mut self) {
        self.edited = None;
        self.editing = false;
        self.scroll = 0;
        self.typed_at = None;
    }

    /// Whether typed text has waited long enough to be asked about; asks once.
    pub fn due(&mut self, now: Duration) -> bool {
        let due = self.typed_at.is_some_and(|at| now >= at + DEBOUNCE);
        if due {
            self.typed_at = None;
        }
        due
    }

    fn move_field(&mut self, by: isize) {
        let at = Field::ALL.iter().position(|f| *f == self.field).unwrap_or(0);
        self.field = Field::ALL[at.saturating_add_signed(by).min(Field::ALL.len() - 1)];
    }

    /// What Enter, Left and Right mean on the selected line.
    pub fn field_action(&self, action: Action) -> Option<Action> {
        use Action as A;
        Some(match (self.field, action) {
            (Field::Task, A::Open | A::Left | A::Right) => A::PickTask,
            (Field::Language, A::Open) => A::PickLanguage,
            (Field::Language, A::Left) => A::PreviousLanguage,
            (Field::Language, A::Right) => A::NextLanguage,
            (Field::Item, A::Open) => A::PickItem,
            (Field::Item, A::Left) => A::PreviousItem,
            (Field::Item, A::Right) => A::NextItem,
            (Field::Style, A::Open | A::Right) => A::NextStyle,
            (Field::Style, A::Left) => A::PreviousStyle,
            (Field::Definitions, A::Open | A::Left | A::Right) => A::NextProtocol,
            (Field::Prompt, A::Open) => A::EditText,
            (Field::Sets, A::Open) => A::ToggleSets,
            _ => return None,
        })
    }
}

/// The next style, forwards or backwards.
pub fn next_style(style: Style, forwards: bool) -> Style {
    let all = [Style::English, Style::Same, Style::Agnostic];
    let at = all.iter().position(|s| *s == style).unwrap_or(0);
    all[(at + if forwards { 1 } else { 2 }) % 3]
}

impl Pane for QueryPane {
    fn on_action(&mut self, action: Action, _cx: &mut Cx) -> bool {
        match action {
            Action::Up => self.move_field(-1),
            Action::Down => self.move_field(1),
            Action::First => self.field = Field::Task,
            Action::Last => self.field = Field::Sets,
            Action::PageUp | Action::HalfUp => self.scroll = (self.scroll + 5).min(10_000),
            Action::PageDown | Action::HalfDown => self.scroll = self.scroll.saturating_sub(5),
            Action::ToggleSets => {
                self.sets_open = !self.sets_open;
                self.field = Field::Sets;
            }
            _ => return false,
        }
        true
    }

    fn on_mouse(&mut self, mouse: PaneMouse, _cx: &mut Cx) -> bool {
        match mouse.kind {
            MouseKind::Click if mouse.y < Field::ROWS => self.field = Field::ALL[mouse.y as usize],
            MouseKind::Click => self.field = Field::Prompt,
            MouseKind::WheelUp => self.scroll = (self.scroll + 2).min(10_000),
            MouseKind::WheelDown => self.scroll = self.scroll.saturating_sub(2),
            _ => return false,
        }
        true
    }

    fn copy_text(&self, shared: &Shared) -> Option<String> {
        Some(format!("{}{}", shared.query.prefix, shared.query.text))
    }

    fn export(&self, shared: &Shared) -> Option<serde_json::Value> {
        Some(serde_json::json!({
            "schema": "polylens.query/1",
            "task": shared.task, "lang": shared.lang, "item": shared.item, "style": shared.style,
            "query": shared.query, "tokens": shared.tokens, "token_sets": shared.sets,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_go_round_both_ways() {
        let mut style = Style::English;
        for _ in 0..3 {
            assert_eq!(next_style(next_style(style, true), false), style);
            style = next_style(style, true);
        }
        assert_eq!(style, Style::English);
    }

    #[test]
    fn typing_waits_for_a_pause() {
        let mut pane = QueryPane { source: Source::Free, editing: true, ..QueryPane::default() };
        let ms = Duration::from_millis;
        pane.type_key(KeyInput::char('a'), ms(0));
        pane.type_key(KeyInput::char('b'), ms(50));
        assert!(!pane.due(ms(100)));
        assert!(pane.due(ms(131)));
        assert!(!pane.due(ms(500)), "asked once");
    }
}
