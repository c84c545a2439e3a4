//! Which columns a block of the lens shows at its width, and how wide each is.

use crate::app::panes::lens::Columns;
use crate::engine::protocol::RunId;
use crate::ui::theme::Curve;

/// One column. The numbers with `Curve`, `Top` and `Tracked` are the cells of its bar (0 = no bar).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Curve(Curve, u16),
    Tracked(usize, u16),
    /// Probability of the top token.
    Top(u16),
    Entropy,
    /// The top token and its probability.
    Token,
    /// As many of the top tokens as fit.
    Tokens,
}

/// The columns of one run, or of its difference from the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub run: RunId,
    pub minus_base: bool,
    /// Columns with their widths; one cell lies between two.
    pub columns: Vec<(Column, u16)>,
}

impl Block {
    /// The columns with their left edges, from `x` on.
    pub fn places(&self, mut x: u16) -> impl Iterator<Item = (Column, u16, u16)> {
        self.columns.iter().map(move |(column, width)| {
            let at = x;
            x += width + 1;
            (*column, at, *width)
        })
    }
}

const ENTROPY: u16 = 5;
/// Widest bar that still gains by its width.
const MAX_BAR: u16 = 24;

/// The columns for a block `width` cells wide. `task`: there are four curves; `tracked`: words that
/// are followed; `minus`: the numbers are differences, with a sign.
pub fn columns(width: u16, task: bool, tracked: usize, minus: bool, mode: Columns) -> Vec<(Column, u16)> {
    let number = if minus { 6 } else { 5 };
    if mode == Columns::Tokens {
        let tokens = width.saturating_sub(ENTROPY + 1);
        return vec![(Column::Entropy, ENTROPY), (Column::Tokens, tokens)];
    }
    // Numbered columns with bars, in the order of their importance.
    let mut wanted: Vec<Column> = Vec::new();
    if task {
        wanted.extend(Curve::ALL.map(|c| Column::Curve(c, 0)));
    } else if mode == Columns::All || tracked == 0 {
        wanted.push(Column::Top(0));
    }
    wanted.extend((0..tracked).map(|i| Column::Tracked(i, 0)));
    let token = match mode {
        Columns::Curves => 0,
        _ if minus => (width / 4).clamp(12, 30),
        _ => (width / 4).clamp(12, 22),
    };
    let fixed = ENTROPY + 1 + if token > 0 { token + 1 } else { 0 };
    let space = width.saturating_sub(fixed);
    let least = number + 1 + if minus { 3 } else { 2 };
    // What does not fit with a bar is left out from the end; the first two always stay.
    let fit = usize::from(space / least).max(2).min(wanted.len());
    wanted.truncate(fit);
    let each = space / wanted.len().max(1) as u16;
    let bar = each.saturating_sub(number + 1).min(MAX_BAR);
    let mut out: Vec<(Column, u16)> = wanted
        .into_iter()
        .map(|c| {
            let column = match c {
                Column::Curve(curve, _) => Column::Curve(curve, bar),
                Column::Tracked(i, _) => Column::Tracked(i, bar),
                _ => Column::Top(bar),
            };
            (column, bar + number)
        })
        .collect();
    out.push((Column::Entropy, ENTROPY));
    if token > 0 {
        let used: u16 = out.iter().map(|(_, w)| w + 1).sum();
        out.push((Column::Token, width.saturating_sub(used).min(token.max(28))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_within_their_width() {
        for width in 24..240 {
            for (task, tracked) in [(true, 0), (false, 0), (false, 3), (true, 2)] {
                for minus in [false, true] {
                    for mode in [Columns::All, Columns::Curves, Columns::Tokens] {
                        let block = Block {
                            run: None,
                            minus_base: minus,
                            columns: columns(width, task, tracked, minus, mode),
                        };
                        let end = block.places(0).map(|(_, x, w)| x + w).max().unwrap_or(0);
                        let least = if width >= 36 { width } else { 36 };
                        assert!(end <= least, "{width} {task} {tracked} {minus} {mode:?}: {end}");
                    }
                }
            }
        }
    }

    #[test]
    fn wide_blocks_show_all_four_curves_with_bars() {
        let shown = columns(72, true, 0, false, Columns::All);
        let bars = shown.iter().filter(|(c, _)| matches!(c, Column::Curve(_, b) if *b >= 5)).count();
        assert_eq!(bars, 4);
        assert!(shown.iter().any(|(c, w)| *c == Column::Token && *w >= 12));
    }
}
