//! The card in the place of data while there is no model: what is missing, and the next step.

use super::text::{ellipsize, harmless, put, width};
use super::theme::Theme;
use super::widgets::bar::bar;
use crate::app::App;
use crate::app::model::Stage;
use crate::app::replay::place::clock;
use crate::app::text::{bytes, duration, rows};
use crate::session::shipped;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// One line of the card: pieces with their styles.
type Line = Vec<(String, Style)>;

/// Draws the card in the middle of `area`.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let cells = usize::from(area.width).saturating_sub(4).min(70);
    if cells < 10 || area.height == 0 {
        return;
    }
    let lines = lines(app, cells, usize::from(area.height), theme);
    let x = area.x + (area.width - cells as u16) / 2;
    let top = area.y + area.height.saturating_sub(lines.len() as u16) / 2;
    for (i, line) in lines.iter().enumerate() {
        let y = top + i as u16;
        if y >= area.bottom() {
            break;
        }
        let mut at = x;
        for (words, style) in line {
            at = put(buf, area, at, y, words, *style);
        }
        if line.is_empty()
            && i == 2
            && let Some(work) = app.model.work()
        {
            let row = Rect { x, y, width: cells as u16, height: 1 };
            bar(
                buf,
                row,
                work.ratio().unwrap_or(0.0),
                theme.accent(),
                theme.selection_idle(),
                theme.glyphs.ascii,
            );
        }
    }
}

fn lines(app: &App, cells: usize, height: usize, theme: &Theme) -> Vec<Line> {
    let plain = |words: String| vec![(words, theme.text())];
    let mut out: Vec<Line> = Vec::new();
    match &app.model.stage {
        Stage::Offer { name, from, bytes: size } => {
            out.push(vec![
                (name.clone(), theme.strong()),
                (" is not on this machine yet.".into(), theme.text()),
            ]);
            let size = if *size > 0 { bytes(*size) } else { "its files (size not known yet)".into() };
            out.extend(paragraph(
                &format!("polylens fetches {size} from {from} into its cache, once."),
                cells,
                theme.text(),
            ));
            out.push(Vec::new());
            out.push(key("Enter", "fetch it now", theme));
            out.push(key("m", "choose another model, a directory or a file", theme));
        }
        Stage::Fetching { name, .. } | Stage::Loading { name, .. } => {
            let verb = if matches!(app.model.stage, Stage::Fetching { .. }) { "Fetching" } else { "Loading" };
            out.push(vec![(format!("{verb} "), theme.text()), (name.clone(), theme.strong())]);
            out.push(vec![(progress(app), theme.dim())]);
            out.push(Vec::new());
            out.push(key("X", "cancel", theme));
        }
        Stage::Failed { name, message } => {
            out.push(vec![(name.clone(), theme.strong()), (" is not in use:".into(), theme.text())]);
            out.extend(paragraph(&harmless(message), cells, theme.error()));
            out.push(Vec::new());
            out.push(key("Enter", "try again", theme));
            out.push(key("m", "choose another model, a directory or a file", theme));
        }
        Stage::Looking { name } => out.push(plain(format!("Looking for {name}"))),
        Stage::Idle => {
            out.push(plain("No model is loaded.".into()));
            out.push(key("m", "choose a model, a directory or a file", theme));
        }
    }
    let stage = std::mem::take(&mut out);
    let own = [("L", "languages"), ("i", "the task's items"), ("5", "follow a training run"), ("?", "help")];
    let own = own.map(|(name, words)| key(name, words, theme));
    let shown = recordings(cells, height.saturating_sub(stage.len() + 3), theme);
    let room = height >= stage.len() + shown.len() + own.len() + 3;
    // While no model comes, the recordings are what there is to see.
    let comes =
        matches!(app.model.stage, Stage::Looking { .. } | Stage::Fetching { .. } | Stage::Loading { .. });
    let first = !comes && !shown.is_empty();
    let parts = if first { [shown, stage] } else { [stage, shown] };
    for part in parts.into_iter().filter(|p| !p.is_empty()) {
        if !out.is_empty() {
            out.push(Vec::new());
        }
        out.extend(part);
    }
    if room {
        out.push(Vec::new());
        out.push(vec![("Also without a model:".into(), theme.dim())]);
        out.extend(own);
    }
    out
}

/// The recordings that come with the program, with a sentence each where there is room for it.
fn recordings(cells: usize, room: usize, theme: &Theme) -> Vec<Line> {
    let offers = shipped::offers();
    if offers.is_empty() || room < 2 {
        return Vec::new();
    }
    let head = "replay a recording of a real run, without a model:";
    let mut out = vec![key("V", head, theme)];
    let indent = " ".repeat(9);
    let columns = cells.saturating_sub(indent.len()).max(10);
    // Whole sentences where there is room for all of them, else their beginnings, else the titles alone.
    let sentences = offers.iter().map(|o| rows(&o.about, columns).len()).sum::<usize>();
    let whole = room > offers.len() + sentences;
    let wide = room > 2 * offers.len();
    for offer in offers {
        let time = clock(offer.lasts);
        out.push(vec![
            (format!("{indent}{}", offer.title), theme.strong()),
            (format!("  {time}"), theme.faint()),
        ]);
        if whole {
            let lines = rows(&offer.about, columns).into_iter();
            out.extend(lines.map(|r| vec![(format!("{indent}{}", offer.about[r].trim_end()), theme.dim())]));
        } else if wide {
            let about = ellipsize(&offer.about, columns, theme.glyphs.ascii);
            out.push(vec![(format!("{indent}{about}"), theme.dim())]);
        }
    }
    out.truncate(room);
    out
}

fn paragraph(words: &str, cells: usize, style: Style) -> Vec<Line> {
    rows(words, cells).into_iter().map(|r| vec![(words[r].trim_end().to_owned(), style)]).collect()
}

fn key(name: &str, words: &str, theme: &Theme) -> Line {
    let fill = " ".repeat(7_usize.saturating_sub(width(name)));
    vec![(format!("  {name}{fill}"), theme.key()), (words.to_owned(), theme.text())]
}

fn progress(app: &App) -> String {
    let Some(work) = app.model.work() else { return "starting".into() };
    let left = work.left(app.now).map(|d| format!(", {} left", duration(d))).unwrap_or_default();
    let amount = if work.done > 0 || work.total > 0 { format!(": {}", work.amount()) } else { String::new() };
    format!("{}{amount}{left}", work.stage)
}
