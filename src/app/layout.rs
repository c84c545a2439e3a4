//! Where everything is on the screen: a pure function of the size and of what is shown, used by the
//! drawing and by the mouse alike.
//!
//! ```text
//!   under 110 columns            110 and more              160 and more
//!   header                       header                    header
//!   tabs                        ┌ query ┐┌ main ────┐     ┌ query ┐┌ lens ───┐┌ side ─┐
//!   query strip (or its pane)   │       ││          │     │       ││         ││       │
//!  ┌ main ───────┐              │       ││          │     │       ││         │├ side ─┤ (46 rows)
//!  └─────────────┘              └───────┘└──────────┘     └───────┘└─────────┘└───────┘
//!   message                      message                   message
//!   keys                         keys                      keys
//! ```

use super::action::PaneId;

/// The smallest terminal that something sensible fits into.
pub const NEEDED: (u16, u16) = (60, 16);

/// A rectangle of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

impl Area {
    /// A rectangle.
    pub fn new(x: u16, y: u16, width: u16, height: u16) -> Self {
        Self { x, y, width, height }
    }

    /// Whether the cell lies inside.
    pub fn contains(&self, x: u16, y: u16) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }

    /// The inside of a frame one cell thick.
    pub fn inner(&self) -> Self {
        let (width, height) = (self.width.saturating_sub(2), self.height.saturating_sub(2));
        Self { x: self.x + 1.min(self.width), y: self.y + 1.min(self.height), width, height }
    }

    /// Cuts `rows` off the top; returns (top, rest).
    pub fn split_top(self, rows: u16) -> (Self, Self) {
        let rows = rows.min(self.height);
        (Self { height: rows, ..self }, Self { y: self.y + rows, height: self.height - rows, ..self })
    }

    /// Cuts `rows` off the bottom; returns (rest, bottom).
    pub fn split_bottom(self, rows: u16) -> (Self, Self) {
        self.split_top(self.height - rows.min(self.height))
    }

    /// Cuts `columns` off the left; returns (left, rest).
    pub fn split_left(self, columns: u16) -> (Self, Self) {
        let columns = columns.min(self.width);
        (Self { width: columns, ..self }, Self { x: self.x + columns, width: self.width - columns, ..self })
    }

    /// A rectangle of at most this size in the middle.
    pub fn centred(self, width: u16, height: u16) -> Self {
        let (width, height) = (width.min(self.width), height.min(self.height));
        let (x, y) = (self.x + (self.width - width) / 2, self.y + (self.height - height) / 2);
        Self { x, y, width, height }
    }
}

/// What the layout depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub size: (u16, u16),
    pub focus: PaneId,
    /// The pane beside the query: the last focused one that is not the query.
    pub main: PaneId,
    /// The pane beside the lens on wide screens: the last focused of grid, PCA, training, evaluation.
    pub side: PaneId,
    pub zoomed: bool,
    /// The lens shows two runs or more side by side.
    pub comparing: bool,
    /// The query has more to show than fits into half of a small screen.
    pub long_query: bool,
    /// Rows that the message line takes (0 without a message).
    pub message_rows: u16,
}

/// The screen's parts. Empty areas are not drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub header: Area,
    /// Row of tabs, where not every pane is on screen.
    pub tabs: Area,
    /// The query in two lines, where its pane is not on screen.
    pub strip: Area,
    /// Panes with their frames.
    pub panes: Vec<(PaneId, Area)>,
    pub message: Area,
    pub hints: Area,
}

impl Layout {
    /// The layout for that request; `None` if the terminal is smaller than [`NEEDED`].
    pub fn new(r: &Request) -> Option<Self> {
        let (width, height) = r.size;
        if width < NEEDED.0 || height < NEEDED.1 {
            return None;
        }
        let (header, rest) = Area::new(0, 0, width, height).split_top(1);
        let (rest, hints) = rest.split_bottom(1);
        let (rest, message) = rest.split_bottom(r.message_rows.min(height / 3));
        let (tabs, body) = rest.split_top(1);
        let mut layout = Self { header, tabs, message, hints, ..Self::default() };
        if r.zoomed || width < 110 {
            let strip_rows = if r.focus == PaneId::Query { 0 } else { 2 };
            let (strip, body) = body.split_top(strip_rows);
            layout.strip = strip;
            if r.focus == PaneId::Query && !r.zoomed && !r.long_query && body.height >= 18 {
                // What is typed is seen to have its effect.
                let (query, main) = body.split_top((body.height * 11 / 20).max(10));
                layout.panes = vec![(PaneId::Query, query), (r.main, main)];
            } else {
                layout.panes.push((r.focus, body));
            }
        } else if width < 160 || height < 24 {
            let (left, right) = body.split_left(query_width(width));
            layout.panes = vec![(PaneId::Query, left), (r.main, right)];
        } else {
            wide(&mut layout, body, r);
        }
        Some(layout)
    }

    /// A pane's frame, if it is on screen.
    pub fn pane(&self, id: PaneId) -> Option<Area> {
        self.panes.iter().find(|(p, _)| *p == id).map(|(_, a)| *a)
    }

    /// The pane whose frame holds the cell.
    pub fn pane_at(&self, x: u16, y: u16) -> Option<(PaneId, Area)> {
        self.panes.iter().find(|(_, a)| a.contains(x, y)).copied()
    }

    /// The tab under the cell.
    pub fn tab_at(&self, x: u16, y: u16) -> Option<PaneId> {
        if !self.tabs.contains(x, y) {
            return None;
        }
        tab_spans().find(|(_, from, to)| (*from..*to).contains(&(x - self.tabs.x))).map(|(p, _, _)| p)
    }
}

fn query_width(width: u16) -> u16 {
    (width * 27 / 100).clamp(40, 50)
}

fn wide(layout: &mut Layout, body: Area, r: &Request) {
    let (left, rest) = body.split_left(query_width(r.size.0));
    if r.main == PaneId::Eval {
        // A table over all languages is wide; the lens comes back when it is asked for.
        layout.panes = vec![(PaneId::Query, left), (PaneId::Eval, rest)];
        return;
    }
    // Two runs beside each other need their room; the side panes can scroll.
    let share = if r.comparing { 66 } else { 56 };
    let (lens, side) = rest.split_left(rest.width * share / 100);
    layout.panes = vec![(PaneId::Query, left), (PaneId::Lens, lens)];
    if body.height < 44 {
        layout.panes.push((r.side, side));
        return;
    }
    // The PCA stays below whichever has the focus, so that nothing jumps.
    let above = if r.side == PaneId::Pca { PaneId::Grid } else { r.side };
    let (top, bottom) = side.split_top(side.height / 2);
    layout.panes.extend([(above, top), (PaneId::Pca, bottom)]);
}

/// The tabs' spans in columns from the left: " 1 Query " and so on.
pub fn tab_spans() -> impl Iterator<Item = (PaneId, u16, u16)> {
    let mut at = 1;
    PaneId::ALL.into_iter().map(move |p| {
        let from = at;
        at += p.name().len() as u16 + 5;
        (p, from, at - 1)
    })
}

/// The first of `height` rows shown of a list of `len`, so that `selected` is among them, with some
/// rows beyond it where there are any.
pub fn scroll(selected: usize, len: usize, height: usize) -> usize {
    let most = len.saturating_sub(height);
    selected.saturating_sub(height / 2).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(width: u16, height: u16) -> Request {
        Request {
            size: (width, height),
            focus: PaneId::Lens,
            main: PaneId::Lens,
            side: PaneId::Grid,
            zoomed: false,
            comparing: false,
            long_query: false,
            message_rows: 1,
        }
    }

    #[test]
    fn panes_follow_the_width() {
        let count = |w, h| Layout::new(&request(w, h)).map(|l| l.panes.len());
        assert_eq!(count(80, 24), Some(1));
        assert_eq!(count(120, 40), Some(2));
        assert_eq!(count(160, 40), Some(3));
        assert_eq!(count(250, 80), Some(4));
        assert_eq!(count(59, 24), None);
        assert_eq!(count(0, 0), None);
    }

    #[test]
    fn nothing_overlaps_or_leaves_the_screen() {
        for (w, h) in [(60, 16), (80, 24), (111, 17), (120, 40), (160, 24), (200, 60), (500, 200)] {
            for focus in PaneId::ALL {
                for zoomed in [false, true] {
                    let main = if focus == PaneId::Query { PaneId::Lens } else { focus };
                    let r = Request { focus, main, zoomed, ..request(w, h) };
                    let l = Layout::new(&r).unwrap();
                    let mut all = vec![l.header, l.tabs, l.strip, l.message, l.hints];
                    all.extend(l.panes.iter().map(|(_, a)| *a));
                    let cells: usize = all.iter().map(|a| a.width as usize * a.height as usize).sum();
                    assert_eq!(cells, w as usize * h as usize, "{w}x{h} {focus:?}");
                    for (x, y) in [(0, 0), (w - 1, h - 1), (w / 2, h / 2)] {
                        assert_eq!(all.iter().filter(|a| a.contains(x, y)).count(), 1);
                    }
                    assert!(l.panes.iter().all(|(_, a)| a.height >= 3 && a.width >= 20));
                }
            }
        }
    }

    #[test]
    fn scrolling_keeps_the_selection_in_sight() {
        for len in 0..30 {
            for height in 1..12 {
                for selected in 0..len {
                    let first = scroll(selected, len, height);
                    assert!((first..first + height).contains(&selected));
                    assert!(first + height <= len.max(height));
                }
            }
        }
    }

    #[test]
    fn tabs_are_found_by_the_mouse() {
        let l = Layout::new(&request(80, 24)).unwrap();
        for (pane, from, to) in tab_spans() {
            assert_eq!(l.tab_at(from, 1), Some(pane));
            assert_eq!(l.tab_at(to - 1, 1), Some(pane));
        }
        assert_eq!(l.tab_at(79, 1), None);
    }
}
