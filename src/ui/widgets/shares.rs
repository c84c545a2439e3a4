//! A row of cells divided among several parts, each with a sign and a colour of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// One part: its share of the whole in 0..=1, its sign and style.
pub type Part = (f64, char, Style);

/// Cells of each part of a row of `width`: by largest remainders, but whatever is above zero gets a cell while there
/// are enough, so that a whole row of one sign means that everything is of one kind. Shares that are no numbers
/// count as 0; all zero gives no cells.
pub fn cells(shares: &[f64], width: u16) -> Vec<u16> {
    let clean: Vec<f64> =
        shares.iter().map(|s| if s.is_finite() { s.clamp(0.0, 1.0) } else { 0.0 }).collect();
    let sum: f64 = clean.iter().sum();
    if sum <= 0.0 {
        return vec![0; shares.len()];
    }
    let exact: Vec<f64> = clean.iter().map(|s| s / sum * f64::from(width)).collect();
    let mut out: Vec<u16> = exact.iter().map(|e| if *e > 0.0 { (*e as u16).max(1) } else { 0 }).collect();
    loop {
        let total: u32 = out.iter().map(|c| u32::from(*c)).sum();
        // What a part lacks to its exact size, at most positive for the one that is short most.
        let lack = |i: &usize| exact[*i] - f64::from(out[*i]);
        let by_lack = |a: &usize, b: &usize| lack(a).total_cmp(&lack(b));
        let change = if total < u32::from(width) {
            (0..out.len()).filter(|i| exact[*i] > 0.0).max_by(by_lack).map(|i| (i, 1))
        } else if total > u32::from(width) {
            // A part keeps its only cell as long as another has more.
            let spare = (0..out.len()).filter(|i| out[*i] > 1).min_by(by_lack);
            spare.or((0..out.len()).rfind(|i| out[*i] > 0)).map(|i| (i, -1))
        } else {
            None
        };
        let Some((i, by)) = change else { return out };
        out[i] = out[i].saturating_add_signed(by);
    }
}

/// Draws the parts over the first row of `area`.
pub fn shares(buf: &mut Buffer, area: Rect, parts: &[Part]) {
    let area = Rect { height: area.height.min(1), ..area }.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    let sizes = cells(&parts.iter().map(|p| p.0).collect::<Vec<_>>(), area.width);
    let mut x = area.x;
    for ((_, sign, style), size) in parts.iter().zip(sizes) {
        for _ in 0..size {
            buf[(x, area.y)].set_char(*sign).set_style(*style);
            x += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_row_and_none_is_lost() {
        assert_eq!(cells(&[0.5, 0.5], 6), [3, 3]);
        assert_eq!(cells(&[1.0, 0.0], 6), [6, 0]);
        assert_eq!(cells(&[0.97, 0.03], 6), [5, 1], "a part above zero is seen");
        assert_eq!(cells(&[0.4, 0.3, 0.3], 10), [4, 3, 3]);
        assert_eq!(cells(&[0.9, 0.05, 0.05], 2), [1, 1, 0]);
        for width in 0..30 {
            for shares in [vec![0.2, 0.8], vec![0.01, 0.01, 0.98], vec![0.3, 0.3, 0.4], vec![f64::NAN, 2.0]] {
                assert_eq!(cells(&shares, width).iter().sum::<u16>(), width, "{shares:?}");
            }
        }
        assert_eq!(cells(&[f64::NAN, 0.0], 5), [0, 0]);
        assert!(cells(&[], 5).is_empty());
    }

    #[test]
    fn drawing_stays_inside() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
        let parts = [(0.5, '#', Style::new()), (0.5, '.', Style::new())];
        shares(&mut buf, Rect::new(2, 0, 9, 3), &parts);
        assert_eq!(buf, Buffer::with_lines(["  #."]));
        shares(&mut buf, Rect::new(9, 9, 2, 2), &parts);
    }
}
