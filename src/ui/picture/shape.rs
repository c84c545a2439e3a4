//! Cells that are drawn and not written: blocks, lines and braille, so that they join whatever font there is.

use super::colour::{Rgb, hex};
use super::{H, W};
use std::fmt::Write;

/// Blocks, lines and braille as shapes; `None` for anything that is text.
pub fn shape(symbol: &str, x: f64, y: f64, fg: Rgb) -> Option<String> {
    let mut chars = symbol.chars();
    let (c, None) = (chars.next()?, chars.next()) else { return None };
    let fill = hex(fg);
    let rect = |x: f64, y: f64, w: f64, h: f64, opacity: f64| {
        format!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{fill}\" opacity=\"{opacity}\"/>\n"
        )
    };
    let code = c as u32;
    Some(match c {
        // Lower eighths, the full block, left eighths.
        '\u{2581}'..='\u{2588}' => {
            let h = H * f64::from(code - 0x2580) / 8.0;
            rect(x, y + H - h, W, h, 1.0)
        }
        '\u{2589}'..='\u{258F}' => rect(x, y, W * f64::from(0x2590 - code) / 8.0, H, 1.0),
        '▀' => rect(x, y, W, H / 2.0, 1.0),
        '▐' => rect(x + W / 2.0, y, W / 2.0, H, 1.0),
        '░' => rect(x, y, W, H, 0.25),
        '▒' => rect(x, y, W, H, 0.5),
        '▓' => rect(x, y, W, H, 0.75),
        '\u{2801}'..='\u{28FF}' => braille(code - 0x2800, x, y, &fill),
        _ => lines(c, x, y, &fill)?,
    })
}

fn braille(bits: u32, x: f64, y: f64, fill: &str) -> String {
    // Dots 1 2 3 7 in the left column, 4 5 6 8 in the right one.
    const PLACES: [(f64, f64); 8] =
        [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (1.0, 0.0), (1.0, 1.0), (1.0, 2.0), (0.0, 3.0), (1.0, 3.0)];
    let mut out = String::new();
    for (i, (cx, cy)) in PLACES.iter().enumerate() {
        if bits >> i & 1 == 1 {
            let (cx, cy) = (x + W * (0.25 + 0.5 * cx), y + H * (0.125 + 0.25 * cy));
            let _ = writeln!(out, "<circle cx=\"{cx:.2}\" cy=\"{cy:.2}\" r=\"1.4\" fill=\"{fill}\"/>");
        }
    }
    out
}

/// Box-drawing characters: which of left, right, up, down leave the middle; rounded corners; dashes.
fn lines(c: char, x: f64, y: f64, stroke: &str) -> Option<String> {
    let (l, r, t, b) = (x, x + W, y, y + H);
    let (mx, my) = (x + W / 2.0, y + H / 2.0);
    let dash = matches!(c, '┈' | '┊' | '╌' | '╎');
    let path = match c {
        '─' | '┈' | '╌' => format!("M{l} {my}H{r}"),
        '│' | '┊' | '╎' => format!("M{mx} {t}V{b}"),
        '┌' => format!("M{mx} {b}V{my}H{r}"),
        '┐' => format!("M{l} {my}H{mx}V{b}"),
        '└' => format!("M{mx} {t}V{my}H{r}"),
        '┘' => format!("M{l} {my}H{mx}V{t}"),
        '╭' => format!("M{mx} {b}V{}Q{mx} {my} {r} {my}", my + W / 2.0),
        '╮' => format!("M{l} {my}Q{mx} {my} {mx} {}V{b}", my + W / 2.0),
        '╰' => format!("M{mx} {t}V{}Q{mx} {my} {r} {my}", my - W / 2.0),
        '╯' => format!("M{l} {my}Q{mx} {my} {mx} {}V{t}", my - W / 2.0),
        '├' => format!("M{mx} {t}V{b}M{mx} {my}H{r}"),
        '┤' => format!("M{mx} {t}V{b}M{l} {my}H{mx}"),
        '┬' => format!("M{l} {my}H{r}M{mx} {my}V{b}"),
        '┴' => format!("M{l} {my}H{r}M{mx} {t}V{my}"),
        '┼' => format!("M{l} {my}H{r}M{mx} {t}V{b}"),
        _ => return None,
    };
    let dashes = if dash { " stroke-dasharray=\"1.5 3\"" } else { "" };
    Some(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{stroke}\"{dashes}/>\n"))
}
