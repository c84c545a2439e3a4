//! How an evaluation is looked at: which measure, which items, and where the rows are.

use crate::eval::{LangSummary, RunSummary};

/// What the bars of the table show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvalMeasure {
    #[default]
    Accuracy,
    /// Accuracy after each label's scores are divided by their mean over content-free queries.
    Calibrated,
    Auc,
}

impl EvalMeasure {
    /// All of them, in the order they are switched through.
    pub const ALL: [Self; 3] = [Self::Accuracy, Self::Calibrated, Self::Auc];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Calibrated => "calibrated",
            Self::Auc => "AUC",
        }
    }

    /// Its value in a language.
    pub fn of(self, l: &LangSummary) -> Option<f64> {
        match self {
            Self::Accuracy => Some(l.accuracy()),
            Self::Calibrated => l.calibrated,
            Self::Auc => l.auc,
        }
    }

    /// Its mean over the languages.
    pub fn mean(self, run: &RunSummary) -> Option<f64> {
        match self {
            Self::Accuracy => run.mean,
            Self::Calibrated => run.mean_calibrated,
            Self::Auc => run.mean_auc,
        }
    }

    /// The next one; after the last the first.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|m| *m == self).map_or(0, |i| i + 1);
        Self::ALL[at % Self::ALL.len()]
    }
}

/// Which items of a language are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemFilter {
    #[default]
    All,
    /// Answered wrongly by the run that is looked at.
    Wrong,
    /// Answered otherwise by the aligned run than by the base.
    Changed,
}

impl ItemFilter {
    /// The next one; `Changed` only where two runs are compared.
    pub fn next(self, compares: bool) -> Self {
        match self {
            Self::All => Self::Wrong,
            Self::Wrong if compares => Self::Changed,
            Self::Wrong | Self::Changed => Self::All,
        }
    }
}

/// The pane's parts, in rows and columns of its inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Rows above the list: what is going on, and the columns' names.
    pub head: u16,
    /// Rows of the list.
    pub list: u16,
    /// Rows right under the list that belong to it.
    pub foot: u16,
    /// Columns of the panel beside the list.
    pub side: u16,
    /// Rows of the panel below the list, at the bottom.
    pub below: u16,
}

/// The least rows that a panel below the table is worth.
const PANEL_ROWS: u16 = 7;

impl Space {
    /// Of the table of languages.
    pub fn table(width: u16, height: u16, langs: usize, compares: bool) -> Self {
        let head = 2.min(height);
        let foot = (1 + u16::from(compares)).min(height - head);
        let room = height - head - foot;
        let side = if width >= 106 { (width / 3).clamp(38, 48) } else { 0 };
        let list = room.min(langs.min(usize::from(u16::MAX)) as u16);
        let left = room - list;
        let below = if side == 0 && left >= PANEL_ROWS { left } else { 0 };
        Self { head, list, foot, side, below }
    }

    /// Of a language's items.
    pub fn items(width: u16, height: u16) -> Self {
        let head = 2.min(height);
        let room = height - head;
        let side = if width >= 106 { width * 9 / 20 } else { 0 };
        let below = if side > 0 || room < 8 { 0 } else { (room * 11 / 20).clamp(5, 16) };
        Self { head, list: room - below, foot: 0, side, below }
    }

    /// Which row of the list lies under the cell of a pane `width` columns wide.
    pub fn row_at(&self, x: u16, y: u16, width: u16) -> Option<usize> {
        let row = y.checked_sub(self.head)?;
        (row < self.list && x < width.saturating_sub(self.side)).then_some(usize::from(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_pane_and_never_more() {
        for width in [0, 20, 38, 78, 106, 150] {
            for height in 0..60 {
                for langs in [0, 1, 3, 20, 70_000] {
                    let t = Space::table(width, height, langs, true);
                    assert!(t.head + t.list + t.foot + t.below <= height && t.side <= width);
                    assert!(t.below == 0 || t.head + t.list + t.foot + t.below == height);
                }
                let i = Space::items(width, height);
                assert_eq!(i.head + i.list + i.below, height);
            }
        }
        assert_eq!(Space::table(78, 17, 20, true).list, 13);
        assert!(Space::table(78, 30, 20, true).below == 0 && Space::table(78, 32, 20, true).below == 8);
    }

    #[test]
    fn rows_are_found_by_the_mouse() {
        let space = Space::table(120, 30, 20, false);
        assert_eq!((space.row_at(3, 2, 120), space.row_at(3, 21, 120)), (Some(0), Some(19)));
        assert_eq!(
            (space.row_at(3, 1, 120), space.row_at(3, 22, 120), space.row_at(100, 5, 120)),
            (None, None, None)
        );
    }

    #[test]
    fn filters_and_measures_go_round() {
        let filter = ItemFilter::default();
        assert_eq!(filter.next(true).next(true).next(true), filter);
        assert_eq!(filter.next(false).next(false), filter);
        assert_eq!(EvalMeasure::Accuracy.next().next().next(), EvalMeasure::Accuracy);
    }
}
