//! What a terminal must be sent to show one screen after another: cursor moves, colours and text of the cells that
//! differ.

use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::layout::Position;
use ratatui::style::{Color, Modifier};
use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// A terminal as it was left.
#[derive(Debug)]
pub struct Encoder {
    screen: Option<Buffer>,
    cursor: Option<Position>,
    /// Where the next character would go, where that is certain.
    pen: Option<(u16, u16)>,
    look: Option<Look>,
}

/// Colours and attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
    }
}

/// What stands at a cell: its text and the columns it takes. Cells under a wide one have none.
#[derive(Clone, Copy, PartialEq)]
struct Unit<'a> {
    symbol: &'a str,
    columns: u16,
    look: Look,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// A terminal of which nothing is known.
    pub fn new() -> Self {
        Self { screen: None, cursor: None, pen: None, look: None }
    }

    /// The bytes that lead from the last screen to this one. The first begins with a cleared screen and without a
    /// cursor. Screens must all be of one size.
    pub fn encode(&mut self, screen: &Buffer, cursor: Option<Position>) -> String {
        let mut out = String::new();
        let before = self.screen.take();
        if before.is_none() {
            out.push_str("\x1b[0m\x1b[2J\x1b[?25l");
        }
        // While cells are written the cursor would jump about.
        let writes = before.as_ref() != Some(screen);
        let was_shown = before.is_some() && self.cursor.is_some();
        if was_shown && (writes || cursor.is_none()) {
            out.push_str("\x1b[?25l");
        }
        for y in 0..screen.area.height {
            self.row(screen, before.as_ref(), y, &mut out);
        }
        if let Some(at) = cursor {
            if self.pen != Some((at.x, at.y)) {
                let _ = write!(out, "\x1b[{};{}H", at.y + 1, at.x + 1);
                self.pen = Some((at.x, at.y));
            }
            if writes || !was_shown {
                out.push_str("\x1b[?25h");
            }
        }
        self.cursor = cursor;
        self.screen = Some(screen.clone());
        out
    }

    fn row(&mut self, screen: &Buffer, before: Option<&Buffer>, y: u16, out: &mut String) {
        let new = units(screen, y);
        let old = before.map(|b| units(b, y));
        let mut spoiled = 0;
        for (x, unit) in new.iter().enumerate() {
            let Some(unit) = unit else { continue };
            let same = old.as_ref().is_some_and(|o| o.get(x) == Some(&Some(*unit)));
            if same && x >= spoiled {
                continue;
            }
            let end = self.put(*unit, (x as u16, y), screen.area.width, out);
            spoiled = spoiled.max(usize::from(end));
        }
    }

    /// Writes one unit; returns the column up to which the terminal may have changed.
    fn put(&mut self, unit: Unit, at: (u16, u16), columns: u16, out: &mut String) -> u16 {
        let (x, y) = at;
        self.go(at, out);
        self.wear(unit.look, out);
        let taken: usize = unit.symbol.chars().map(|c| c.width().unwrap_or(0)).sum();
        if taken != usize::from(unit.columns) {
            // Terminals disagree on such text: what lies under it is cleared first, and the next unit is placed anew.
            out.extend(std::iter::repeat_n(' ', usize::from(unit.columns)));
            self.pen = None;
            self.go(at, out);
        }
        out.push_str(unit.symbol);
        let end = x + unit.columns;
        let certain = taken == usize::from(unit.columns) && end < columns;
        self.pen = certain.then_some((end, y));
        end.max(x + taken as u16)
    }

    fn go(&mut self, at: (u16, u16), out: &mut String) {
        if self.pen == Some(at) {
            return;
        }
        let (x, y) = at;
        match self.pen {
            Some((from, row)) if row == y && from < x => {
                let _ = match x - from {
                    1 => write!(out, "\x1b[C"),
                    n => write!(out, "\x1b[{n}C"),
                };
            }
            _ => {
                let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
            }
        }
        self.pen = Some(at);
    }

    /// Sets colours and attributes, saying only what differs.
    fn wear(&mut self, look: Look, out: &mut String) {
        if self.look == Some(look) {
            return;
        }
        let mut codes: Vec<String> = Vec::new();
        let kept = self.look.filter(|old| old.modifier == look.modifier);
        if kept.is_none() {
            codes.push("0".into());
            codes.extend(attributes(look.modifier).map(str::to_owned));
        }
        let known = kept.unwrap_or(Look { fg: Color::Reset, bg: Color::Reset, ..look });
        if known.fg != look.fg {
            codes.push(colour(look.fg, false));
        }
        if known.bg != look.bg {
            codes.push(colour(look.bg, true));
        }
        let _ = write!(out, "\x1b[{}m", codes.join(";"));
        self.look = Some(look);
    }
}

/// The units of a row, one entry a column; `None` under a wide unit.
fn units(buf: &Buffer, y: u16) -> Vec<Option<Unit<'_>>> {
    let width = buf.area.width;
    let mut out = vec![None; usize::from(width)];
    let mut x = 0;
    while x < width {
        let cell = &buf[(buf.area.x + x, buf.area.y + y)];
        let columns = cell.cell_width().max(1);
        let fits = columns <= width - x;
        let (symbol, columns) =
            if fits && !cell.symbol().is_empty() { (cell.symbol(), columns) } else { (" ", 1) };
        out[usize::from(x)] = Some(Unit { symbol, columns, look: Look::of(cell) });
        x += columns;
    }
    out
}

fn attributes(modifier: Modifier) -> impl Iterator<Item = &'static str> {
    const ALL: [(Modifier, &str); 9] = [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::SLOW_BLINK, "5"),
        (Modifier::RAPID_BLINK, "6"),
        (Modifier::REVERSED, "7"),
        (Modifier::HIDDEN, "8"),
        (Modifier::CROSSED_OUT, "9"),
    ];
    ALL.into_iter().filter(move |(m, _)| modifier.contains(*m)).map(|(_, code)| code)
}

fn colour(color: Color, ground: bool) -> String {
    let base = if ground { 40 } else { 30 };
    let bright = base + 60;
    match color {
        Color::Reset => (base + 9).to_string(),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
        Color::Indexed(i) => format!("{};5;{i}", base + 8),
        Color::Black => base.to_string(),
        Color::Red => (base + 1).to_string(),
        Color::Green => (base + 2).to_string(),
        Color::Yellow => (base + 3).to_string(),
        Color::Blue => (base + 4).to_string(),
        Color::Magenta => (base + 5).to_string(),
        Color::Cyan => (base + 6).to_string(),
        Color::Gray => (base + 7).to_string(),
        Color::DarkGray => bright.to_string(),
        Color::LightRed => (bright + 1).to_string(),
        Color::LightGreen => (bright + 2).to_string(),
        Color::LightYellow => (bright + 3).to_string(),
        Color::LightBlue => (bright + 4).to_string(),
        Color::LightMagenta => (bright + 5).to_string(),
        Color::LightCyan => (bright + 6).to_string(),
        Color::White => (bright + 7).to_string(),
    }
}
