//! Where the form's lines are, for drawing and mouse alike.

use super::training_fields::{Field, SECTIONS, rows};
use crate::app::layout::scroll;

/// Widest form: longer lines are hard to follow.
const WIDEST: u16 = 100;
/// Rows under the form: its meaning, the estimate, how to start.
const FOOT: u16 = 4;
/// The same where there is room to breathe.
const ROOMY_FOOT: u16 = 9;

/// One line on screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormRow {
    Heading(&'static str),
    Fields(&'static [Field]),
    Blank,
}

/// Where what is, in cells from the pane's top left.
#[derive(Clone, Debug)]
pub struct FormPlace {
    pub x: u16,
    pub width: u16,
    /// The form's first line; the title is above it.
    pub top: u16,
    /// Lines in sight, from the top.
    pub rows: Vec<FormRow>,
    /// The first row of the foot, and how many it has.
    pub foot: u16,
    pub foot_rows: u16,
    /// Lines above and below those in sight.
    pub hidden: (usize, usize),
    /// With headings and blank lines.
    pub roomy: bool,
}

impl FormPlace {
    /// The places in a pane of that size.
    pub fn new(width: u16, height: u16, selected: Field) -> Self {
        let inner = width.saturating_sub(2).min(WIDEST);
        let x = (width - inner.min(width)) / 2;
        let all = roomy_rows();
        let roomy = height >= all.len() as u16 + 2 + ROOMY_FOOT;
        let all = if roomy { all } else { rows().map(FormRow::Fields).collect() };
        let title = if roomy { 2 } else { u16::from(height > 8) };
        let foot_rows = if roomy { ROOMY_FOOT } else { FOOT.min(height.saturating_sub(title + 3)) };
        let space = usize::from(height.saturating_sub(title + foot_rows));
        let at =
            all.iter().position(|r| matches!(r, FormRow::Fields(f) if f.contains(&selected))).unwrap_or(0);
        let first = if all.len() > space { scroll(at, all.len(), space.max(1)) } else { 0 };
        let shown: Vec<FormRow> = all.iter().skip(first).take(space).copied().collect();
        let spare = height.saturating_sub(title + shown.len() as u16 + foot_rows);
        let top = title + if roomy { spare / 3 } else { 0 };
        let foot = top + shown.len() as u16;
        let foot_rows = if roomy { foot_rows } else { height.saturating_sub(foot) };
        let hidden = (first, all.len() - first - shown.len());
        Self { x, width: inner, top, rows: shown, foot, foot_rows, hidden, roomy }
    }

    /// Columns of the first field of two.
    pub fn half(&self) -> u16 {
        self.width / 2
    }

    /// The field under a cell.
    pub fn field_at(&self, x: u16, y: u16) -> Option<Field> {
        let row = y.checked_sub(self.top).and_then(|i| self.rows.get(usize::from(i)))?;
        let FormRow::Fields(fields) = row else { return None };
        let second = fields.len() > 1 && x >= self.x + self.half();
        fields.get(usize::from(second)).copied()
    }
}

fn roomy_rows() -> Vec<FormRow> {
    let mut out = Vec::new();
    for (heading, fields) in SECTIONS {
        out.push(FormRow::Heading(heading));
        out.extend(fields.iter().map(|f| FormRow::Fields(f)));
        out.push(FormRow::Blank);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_line_is_in_sight_at_every_size() {
        for width in [0, 1, 36, 58, 78, 150] {
            for height in 4..60 {
                for field in rows().flatten() {
                    let place = FormPlace::new(width, height, *field);
                    let seen = |r: &FormRow| matches!(r, FormRow::Fields(f) if f.contains(field));
                    assert!(place.rows.iter().any(seen), "{width}x{height} {field:?}");
                    assert!(place.foot + place.foot_rows <= height.max(place.foot));
                    assert!(place.x + place.width <= width.max(place.x));
                }
            }
        }
    }

    #[test]
    fn a_small_terminal_has_every_line_and_a_foot() {
        let place = FormPlace::new(78, 17, Field::Seed);
        assert_eq!((place.rows.len(), place.hidden, place.foot_rows), (12, (0, 0), 4));
        let place = FormPlace::new(78, 16, Field::Seed);
        assert_eq!((place.rows.len(), place.hidden, place.foot_rows), (11, (1, 0), 4));
        assert!(FormPlace::new(76, 31, Field::Seed).roomy);
    }

    #[test]
    fn clicks_find_their_field() {
        let place = FormPlace::new(78, 18, Field::Sources);
        assert_eq!(place.field_at(3, place.top), Some(Field::Sources));
        assert_eq!(place.field_at(60, place.top + 1), Some(Field::Pairs));
        assert_eq!(place.field_at(3, place.top + 1), Some(Field::Target));
        assert_eq!(place.field_at(3, 0), None);
        assert_eq!(place.field_at(3, 17), None);
    }
}
