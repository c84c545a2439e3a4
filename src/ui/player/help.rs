//! The player's help.

use crate::app::replay::player::{KEYS, Player};
use crate::app::text::rows;
use crate::ui::film::caption::window;
use crate::ui::text::{ellipsize, harmless, put, width};
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// What the explorer's own keys do in a replay.
const REST: &str = "Every other key looks around: layers, panes, items, :commands. It leaves the recorded path, and what was \
                    asked anywhere in the recording can be looked at without the model.";

/// Draws the help over the whole picture.
pub fn render(buf: &mut Buffer, area: Rect, player: &Player, theme: &Theme) {
    let header = &player.lane().file().header;
    let columns = 76.min(area.width.saturating_sub(8));
    let mut lines: Vec<(String, String)> = Vec::new();
    let prose = |text: &str, lines: &mut Vec<(String, String)>| {
        let text = harmless(text);
        for r in rows(&text, usize::from(columns)) {
            lines.push((String::new(), text[r].trim_end().to_owned()));
        }
    };
    if !header.about.is_empty() {
        prose(&header.about, &mut lines);
    }
    prose(&made(player), &mut lines);
    lines.push(Default::default());
    let two = player.lanes.len() > 1;
    for (key, what, _) in KEYS {
        if two || *key != "C-w" {
            lines.push((key.to_string(), what.to_string()));
        }
    }
    lines.push(Default::default());
    prose(REST, &mut lines);
    let height = (lines.len() as u16 + 2).min(area.height);
    let box_width = columns + 4;
    let place = Rect {
        x: area.x + area.width.saturating_sub(box_width) / 2,
        y: area.y + area.height.saturating_sub(height) / 2,
        width: box_width.min(area.width),
        height,
    };
    window(buf, place, theme);
    let name = format!(" Replay {} {} ", theme.glyphs.separator, super::bar::title(player.lane().file()));
    let name = ellipsize(&name, usize::from(place.width.saturating_sub(4)), theme.glyphs.ascii);
    put(buf, place, place.x + 2, place.y, &name, theme.accent());
    for (i, (key, what)) in lines.iter().take(usize::from(height.saturating_sub(2))).enumerate() {
        let y = place.y + 1 + i as u16;
        if key.is_empty() {
            put(buf, place, place.x + 2, y, what, theme.dim());
        } else {
            let fill = 11_usize.saturating_sub(width(key)) as u16;
            let x = put(buf, place, place.x + 2, y, key, theme.key());
            put(buf, place, x + fill, y, what, theme.text());
        }
    }
}

/// What made the recording, when, of which model.
fn made(player: &Player) -> String {
    let file = player.lane().file();
    let header = &file.header;
    let model = header.model.as_ref().map_or(String::new(), |m| format!(" with {} ({})", m.name, m.dtype));
    let cut = file.cut.map_or(String::new(), |line| format!(" The file ends in the middle of line {line}."));
    format!(
        "Recorded {} by polylens {} ({}){model}; {} lines.{cut}",
        header.started.replace('T', " ").trim_end_matches('Z'),
        header.version,
        header.command,
        file.entries().len(),
    )
}
