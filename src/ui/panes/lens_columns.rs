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
    /// The top token, and its probability where there is room.
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

/// "12.3" and a sign where it is a difference.
const ENTROPY: u16 = 5;
/// Narrowest column of the top token.
const TOKEN: u16 = 8;
/// From this width on a token's probability stands beside it.
pub const TOKEN_WITH_P: u16 = 13;
/// Widest bar that still gains by its width.
const MAX_BAR: u16 = 24;
/// Narrowest bar that still shows something.
const MIN_BAR: u16 = 4;

/// The columns for a block `width` cells wide. `task`: there are four curves; `tracked`: words that
/// are followed; `minus`: the numbers are differences, with a sign.
pub fn columns(width: u16, task: bool, tracked: usize, minus: bool, mode: Columns) -> Vec<(Column, u16)> {
    let number = if minus { 6 } else { 5 };
    if mode == Columns::Tokens {
        let tokens = width.saturating_sub(ENTROPY + 1);
        return vec![(Column::Entropy, ENTROPY), (Column::Tokens, tokens)];
    }
    // Columns with numbers and bars, in the order of their importance.
    let mut wanted: Vec<Column> = Vec::new();
    if task {
        wanted.extend(Curve::ALL.map(|c| Column::Curve(c, 0)));
    } else if mode == Columns::All || tracked == 0 {
        wanted.push(Column::Top(0));
    }
    wanted.extend((0..tracked).map(|i| Column::Tracked(i, 0)));
    let two_bars = 2 * (number + 1 + MIN_BAR);
    let (entropy, least_token) = match mode {
        Columns::Curves => (0, 0),
        // Bars come first: they are what the pane is for.
        _ if width < two_bars + ENTROPY + 1 + TOKEN => (ENTROPY + 1, 0),
        _ => (ENTROPY + 1, TOKEN),
    };
    let space = width.saturating_sub(entropy + least_token);
    // What does not fit with a bar is left out from the end; the first two always stay.
    let fit =
        usize::from((space + u16::from(least_token == 0)) / (number + 1 + MIN_BAR)).max(2).min(wanted.len());
    wanted.truncate(fit);
    let n = wanted.len().max(1) as u16;
    // Bars and the token grow together: a third of what is left goes to the token, up to 24 cells.
    let spare = space.saturating_sub(n * (number + 1 + MIN_BAR));
    let token = if least_token > 0 { (TOKEN + spare / 3).min(24) } else { 0 };
    let each = (width + u16::from(least_token == 0)).saturating_sub(entropy + token) / n;
    let bar = each.saturating_sub(number + 1).min(MAX_BAR);
    let sized = |c| match c {
        Column::Curve(curve, _) => (Column::Curve(curve, bar), bar + number),
        Column::Tracked(i, _) => (Column::Tracked(i, bar), bar + number),
        _ => (Column::Top(bar), bar + number),
    };
    let mut out: Vec<(Column, u16)> = wanted.into_iter().map(sized).collect();
    if entropy > 0 {
        out.push((Column::Entropy, ENTROPY));
    }
    if token > 0 {
        let used: u16 = out.iter().map(|(_, w)| w + 1).sum();
        out.push((Column::Token, width.saturating_sub(used).min(32)));
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
                        let columns = columns(width, task, tracked, minus, mode);
                        let block = Block { run: None, minus_base: minus, columns };
                        let end = block.places(0).map(|(_, x, w)| x + w).max().unwrap_or(0);
                        assert!(end <= width.max(34), "{width} {task} {tracked} {minus} {mode:?}: {end}");
                    }
                }
            }
        }
    }

    #[test]
    fn two_curves_have_bars_even_in_half_of_a_small_screen() {
        for (width, mode, curves) in [(34, Columns::All, 2), (34, Columns::Curves, 3), (26, Columns::All, 2)]
        {
            let shown = columns(width, true, 0, false, mode);
            let bars = shown.iter().filter(|(c, _)| matches!(c, Column::Curve(_, b) if *b >= 4)).count();
            assert!(bars >= curves, "{shown:?}");
        }
    }

    #[test]
    fn wide_blocks_show_all_four_curves_with_bars() {
        let shown = columns(69, true, 0, false, Columns::All);
        let bars = shown.iter().filter(|(c, _)| matches!(c, Column::Curve(_, b) if *b >= 5)).count();
        assert_eq!(bars, 4);
        assert!(shown.iter().any(|(c, w)| *c == Column::Token && *w >= TOKEN));
    }
}
