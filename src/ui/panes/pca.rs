//! The PCA pane.
//!
//! ```text
//!  32 items x 4 languages · mean pooling · own fits        what is shown, progress, trouble
//!  base  PC1 41 % PC2 12 %   │ zh2en …      │ pair   base  zh2en
//!    scatter                 │   scatter    │ en-de  .97   .98
//!                            │              │  curve of the pair over the layers
//!  ● en  ▲ de  ◆ fr  ◉ hi                                  legend
//!  layer 12/26 ────────●──────────────────── space plays   slider
//! ```

use super::{pca_list, pca_side};
use crate::app::library::language_index;
use crate::app::panes::pca::{PcaPane, PcaView, side_width, slider_track};
use crate::app::shared::Shared;
use crate::app::{App, ThemeKind};
use crate::engine::protocol::{PcaRun, Pooling};
use crate::ui::text;
use crate::ui::theme::{Ladder, Theme};
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::legend::{Entry, legend};
use crate::ui::widgets::notice::notice;
use crate::ui::widgets::plot::PlotStyle;
use crate::ui::widgets::scatter::{Class, Marks, Ranges, Scatter, ranges};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use std::time::Duration;

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let separator = if app.theme == ThemeKind::Ascii { "|" } else { "·" };
    let pane = &app.pca;
    match &pane.answer {
        Some(answer) => {
            let pooling = match answer.pooling {
                Pooling::Mean => "mean of all positions",
                Pooling::Last => "last position",
                Pooling::Query => "mean of the query",
            };
            let fit = if pane.shared_fit && answer.runs.len() > 1 { "base's fit" } else { "own fit" };
            let count = format!("{} languages x {} items", answer.langs.len(), answer.n);
            format!("{count} {separator} {pooling} {separator} {fit}")
        }
        None => String::new(),
    }
}

/// What the drawing of a scatter needs to know.
struct Scene<'a> {
    pane: &'a PcaPane,
    shared: &'a Shared,
    theme: &'a Theme,
    /// Where the mouse rests, in cells of the screen.
    mouse: Option<(u16, u16)>,
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, _focused: bool, theme: &Theme) {
    draw(buf, area, &app.pca, &app.shared, app.now, theme);
}

/// Draws the pane from its state alone.
fn draw(buf: &mut Buffer, area: Rect, pane: &PcaPane, shared: &Shared, now: Duration, theme: &Theme) {
    if pane.answer.is_none() {
        nothing_yet(buf, area, pane, shared, now, theme);
    } else {
        ready(buf, area, pane, shared, now, theme);
    }
    if let Some(list) = &pane.list {
        pca_list::render(buf, area, "Languages in the plane", list, &pane.languages, shared, theme);
    }
}

fn nothing_yet(buf: &mut Buffer, area: Rect, pane: &PcaPane, shared: &Shared, now: Duration, theme: &Theme) {
    let codes = pane.languages.codes(&*shared.library);
    let blank = || (String::new(), theme.text());
    let lines = if let Some(message) = &pane.error {
        vec![(message.clone(), theme.error()), blank(), ("Press c to try again.".into(), theme.dim())]
    } else if let Some(running) = &pane.running {
        let at = progress(running.done, running.total);
        let elapsed = text::duration(now.saturating_sub(running.since).as_secs_f64());
        let row = Rect { y: area.y + area.height / 2 + 3, height: 1, ..area };
        let row = Rect { x: area.x + area.width / 4, width: area.width / 2, ..row };
        if running.total > 0 && row.y < area.bottom() {
            let share = running.done as f64 / running.total as f64;
            bar(buf, row, share, theme.accent(), theme.selection_idle(), theme.glyphs.ascii);
        }
        vec![
            (format!("Reading {} languages: {} {at}", codes.len(), running.stage), theme.strong()),
            (format!("{elapsed} so far; X cancels"), theme.dim()),
        ]
    } else if shared.model.is_none() {
        vec![
            ("No model is loaded.".into(), theme.strong()),
            (
                "Press m to choose one: its languages appear here in one plane, layer by layer.".into(),
                theme.dim(),
            ),
        ]
    } else {
        vec![
            (format!("Press c to compute the PCA of {}.", codes.join(" ")), theme.strong()),
            blank(),
            ("Each of the task's items becomes a point in every language, at every layer; where the languages \
              meet, the model thinks in something common. / chooses the languages.".into(), theme.dim()),
        ]
    };
    notice(buf, area, &lines);
}

fn progress(done: u64, total: u64) -> String {
    match total {
        0 => String::new(),
        _ => format!("{done}/{total}"),
    }
}

fn ready(buf: &mut Buffer, area: Rect, pane: &PcaPane, shared: &Shared, now: Duration, theme: &Theme) {
    if area.height < 3 || area.width < 8 {
        return;
    }
    slider(buf, Rect { y: area.bottom() - 1, height: 1, ..area }, pane, theme);
    let entries = entries(pane, shared, theme);
    let rows = if area.height >= 20 { 2 } else { 1 };
    let needed = entries.iter().map(|e| 4 + e.name.len() as u16).sum::<u16>().div_ceil(area.width).min(rows);
    let keys = Rect { y: area.bottom() - 1 - needed, height: needed, ..area };
    legend(buf, keys, &entries, theme.glyphs.ascii);
    let mut body = Rect { height: area.height - 1 - needed, ..area };
    if says(buf, Rect { height: 1, ..body }, pane, now, theme) {
        body = Rect { y: body.y + 1, height: body.height - 1, ..body };
    }
    match pane.view {
        PcaView::Matrix => pca_side::matrices(buf, body, pane, theme),
        PcaView::Table => pca_side::table(buf, body, pane, theme),
        PcaView::Scatter => {
            let side = side_width(body.width);
            let main = Rect { width: body.width - side, ..body };
            if pane.curve {
                pca_side::curve(buf, main, pane, theme);
            } else {
                let mouse = pane.mouse.map(|(x, y)| (area.x + x, area.y + y));
                scatters(buf, main, &Scene { pane, shared, theme, mouse });
            }
            if side > 0 {
                pca_side::render(buf, Rect { x: main.right() + 1, width: side - 1, ..body }, pane, theme);
            }
        }
    }
    if pane.outdated || (pane.running.is_some() && pane.complete) {
        buf.set_style(body.intersection(buf.area), theme.stale(Style::new()));
    }
}

/// The line for progress and trouble; false where there is nothing to say.
fn says(buf: &mut Buffer, area: Rect, pane: &PcaPane, now: Duration, theme: &Theme) -> bool {
    let ascii = theme.glyphs.ascii;
    if let Some(running) = &pane.running {
        let elapsed = text::duration(now.saturating_sub(running.since).as_secs_f64());
        let at = progress(running.done, running.total);
        let line = format!("reading {} {at} {} {elapsed}; X cancels ", running.stage, theme.glyphs.separator);
        let x = text::put(buf, area, area.x, area.y, &text::harmless(&line), theme.dim());
        let rest = Rect { x: x.min(area.right()), width: area.right().saturating_sub(x).min(40), ..area };
        if running.total > 0 {
            let share = running.done as f64 / running.total as f64;
            bar(buf, rest, share, theme.accent(), theme.selection_idle(), ascii);
        }
        return true;
    }
    let (line, style) = match &pane.error {
        Some(message) => (format!("{} {}", theme.glyphs.cross, text::harmless(message)), theme.error()),
        None if pane.outdated => {
            ("The task, the model or a setting changed since: c computes again.".into(), theme.warn())
        }
        None => return false,
    };
    text::put(buf, area, area.x, area.y, &text::fit(&line, usize::from(area.width), ascii), style);
    true
}

fn entries<'a>(pane: &'a PcaPane, shared: &Shared, theme: &Theme) -> Vec<Entry<'a>> {
    let langs = pane.answer.as_ref().map_or(&[][..], |a| &a.langs);
    let entry = |code: &'a String| {
        let index = language_index(&*shared.library, code);
        let (mark, mark_style) = (theme.language_mark(index), theme.language(index));
        Entry { mark, mark_style, name: code, name_style: theme.text() }
    };
    langs.iter().map(entry).collect()
}

/// One scatter a run, side by side where they fit.
fn scatters(buf: &mut Buffer, area: Rect, scene: &Scene) {
    let pane = scene.pane;
    let Some(answer) = &pane.answer else { return };
    let shown: Vec<usize> = match pane.only {
        Some(run) => vec![run],
        None => (0..answer.runs.len()).take(pane.fitting()).collect(),
    };
    let width = area.width / shown.len().max(1) as u16;
    for (i, run) in shown.iter().enumerate() {
        let at = Rect { x: area.x + i as u16 * width, width: width.saturating_sub(1), ..area };
        scatter(buf, at, *run, scene);
    }
}

fn scatter(buf: &mut Buffer, area: Rect, run: usize, scene: &Scene) {
    let Scene { pane, shared, theme, .. } = scene;
    let (Some(answer), Some(layer)) = (&pane.answer, pane.layer(run)) else { return };
    let points = |code: &String| layer.points.get(code).map_or(&[][..], |p| p);
    let class = |code: &'_ String| {
        let index = language_index(&*shared.library, code);
        (theme.language_mark(index), theme.language(index))
    };
    let classes = answer.langs.iter().map(|code| {
        let (mark, style) = class(code);
        Class { name: code, mark, style, points: points(code) }
    });
    let mut scatter = Scatter {
        classes: classes.collect(),
        trails: Vec::new(),
        names_at_centroids: false,
        ranges: common_ranges(answer.runs.as_slice(), run, pane),
        equal: true,
        marks: if pane.dots && theme.ladder != Ladder::None { Marks::Dots } else { Marks::Shapes },
        item: Some(shared.item),
        names: ("PC1", "PC2"),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
    };
    let plot = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let near = scene.mouse.filter(|(x, y)| plot.contains((*x, *y).into()));
    let near = near.and_then(|(x, y)| scatter.nearest(plot, x, y));
    scatter.item = near.map(|(_, item)| item).or(scatter.item);
    let item = scatter.item.filter(|i| *i < answer.n).map(|i| (i, near.map(|n| answer.langs[n.0].as_str())));
    heading(buf, area, run, pane, item, theme);
    scatter.render(buf, plot);
}

/// Whose points these are, how much of the variance the plane shows, and the marked item.
fn heading(
    buf: &mut Buffer,
    area: Rect,
    run: usize,
    pane: &PcaPane,
    item: Option<(usize, Option<&str>)>,
    theme: &Theme,
) {
    let (Some(answer), Some(layer)) = (&pane.answer, pane.layer(run)) else { return };
    let name = pane.run_names.get(run).map_or("", String::as_str);
    let id = answer.runs.get(run).and_then(|r| r.run);
    let name = text::ellipsize(name, usize::from(area.width) / 3, theme.glyphs.ascii);
    let mut x = text::put(buf, area, area.x, area.y, &name, theme.run(id).add_modifier(Modifier::BOLD));
    if let [a, b, ..] = layer.explained_variance_ratio[..] {
        let share = format!("  PC1 {:.0} %  PC2 {:.0} %", 100.0 * a, 100.0 * b);
        if text::width(&share) as u16 + x <= area.right() {
            x = text::put(buf, area, x, area.y, &share, theme.dim());
        }
    }
    if let Some((item, lang)) = item {
        let what = match lang {
            Some(lang) => format!("  item {} in {lang}", item + 1),
            None => format!("  item {}", item + 1),
        };
        if text::width(&what) as u16 + x <= area.right() {
            text::put(buf, area, x, area.y, &what, theme.accent());
        }
    }
}

/// The axes' ranges: of all layers where they are fixed, and of all runs where these share one fit.
fn common_ranges(runs: &[PcaRun], run: usize, pane: &PcaPane) -> Option<Ranges> {
    let runs = if pane.shared_fit { runs } else { runs.get(run..=run)? };
    let layers = runs.iter().flat_map(|r| match pane.fixed_axes {
        true => &r.layers[..],
        false => r.layers.get(pane.at..=pane.at).unwrap_or_default(),
    });
    ranges(layers.flat_map(|l| l.points.values().flatten()))
}

fn slider(buf: &mut Buffer, area: Rect, pane: &PcaPane, theme: &Theme) {
    let layers = pane.layers();
    let (Some(now), Some(last)) = (layers.get(pane.at), layers.last()) else { return };
    let (from, width) = slider_track(area.width);
    text::put(buf, area, area.x, area.y, &format!("layer {now}/{last}"), theme.strong());
    let (line, knob) = theme.glyphs.slider;
    let track = line.to_string().repeat(usize::from(width));
    text::put(buf, area, area.x + from, area.y, &track, theme.faint());
    let at =
        (pane.at * usize::from(width - 1) + layers.len().saturating_sub(1) / 2) / (layers.len() - 1).max(1);
    let at = area.x + from + at.min(usize::from(width - 1)) as u16;
    text::put(buf, area, at, area.y, &knob.to_string(), theme.accent());
    let play = if theme.glyphs.ascii { ">" } else { "▸" };
    let (says, style) = match pane.playing {
        Some(_) => (format!("{play} {}/s", pane.speed.layers_a_second()), theme.accent()),
        None => ("space plays".into(), theme.dim()),
    };
    text::put(buf, area, area.x + from + width + 2, area.y, &says, style);
}

#[cfg(test)]
#[path = "pca_tests.rs"]
mod tests;
