//! The list that languages are chosen from, over the PCA or the evaluation.

use crate::app::library::language_index;
use crate::app::panes::languages::{Chosen, LanguageList, PRESETS};
use crate::app::shared::Shared;
use crate::ui::text;
use crate::ui::theme::Theme;
use crate::ui::widgets::table::scroll_to;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws the list over the pane.
pub fn render(
    buf: &mut Buffer,
    area: Rect,
    title: &str,
    list: &LanguageList,
    chosen: &Chosen,
    shared: &Shared,
    theme: &Theme,
) {
    let library = &*shared.library;
    let lines = PRESETS.len() + library.languages().len();
    let (width, height) = (area.width.min(50), area.height.min(lines as u16 + 3));
    let panel =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let blank = " ".repeat(usize::from(width));
    for y in panel.top()..panel.bottom() {
        text::put(buf, panel, panel.x, y, &blank, theme.raised());
    }
    for at in panel.intersection(buf.area).positions() {
        // What is underlined or reversed below would shine through.
        buf[at].reset();
        buf[at].set_style(theme.raised());
    }
    let title = format!(" {title}: {}", chosen.codes(library).len());
    text::put(buf, panel, panel.x, panel.y, &title, theme.accent());
    let keys = " space marks   / done   esc done";
    text::put(buf, panel, panel.x, panel.bottom().saturating_sub(1), keys, theme.dim());
    let body = Rect { y: panel.y + 1, height: panel.height.saturating_sub(2), ..panel };
    let first = scroll_to(0, Some(list.selected), usize::from(body.height), lines);
    for (row, i) in (first..lines).take(usize::from(body.height)).enumerate() {
        let y = body.y + row as u16;
        let marks = |on: bool, round: bool| match (on, round, theme.glyphs.ascii) {
            (true, true, _) => "(*)",
            (false, true, _) => "( )",
            (true, false, true) => "[x]",
            (true, false, false) => "[✓]",
            (false, false, _) => "[ ]",
        };
        match i.checked_sub(PRESETS.len()) {
            None => {
                let sign = marks(chosen.is_preset(i, library), true);
                let name = PRESETS.get(i).map_or("", |p| p.0);
                text::put(buf, body, body.x + 1, y, &format!("{sign} {name}"), theme.text());
            }
            Some(at) => {
                let language = &library.languages()[at];
                let index = language_index(library, &language.code);
                let x = text::put(
                    buf,
                    body,
                    body.x + 1,
                    y,
                    marks(chosen.has(&language.code), false),
                    theme.text(),
                );
                let sign = format!(" {} {}", theme.language_mark(index), text::fit(&language.code, 3, true));
                let x = text::put(buf, body, x, y, &sign, theme.language(index));
                let x = text::put(buf, body, x, y, &text::fit(&language.english, 12, true), theme.text());
                text::put(buf, body, x, y, &text::harmless(&language.own), theme.dim());
            }
        }
        if i == list.selected {
            let row = Rect { y, height: 1, ..body };
            buf.set_style(row.intersection(buf.area), theme.selection());
        }
    }
}
