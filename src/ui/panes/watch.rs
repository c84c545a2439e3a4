//! The training pane's second view, "watch it align": the base beside a step of the run.
//!
//! ```text
//!  layer  base            step 120        over the steps │ scatter: base     │ scatter: step 120
//!  17     ␣the .03 ▏      ␣positive .5 ██ ░▒▓█████       │                   │
//!  the layer's curves, base, step, change                │ pair base step Δ  │ mean over the steps
//!  the layer's curves over the steps                     │                   │
//!  loss ▔▔▔▔╲▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
//!  0    ┴───┴───┴───●───┴───┴───◉┈┈┈┈┈┈┈┈┈┈ 400
//!  ● live   step 120 …
//! ```

use super::{watch_lens, watch_pairs, watch_plane, watch_time};
use crate::app::App;
use crate::app::panes::watch::{Part, WatchState, timeline_rows};
use crate::app::shared::Shared;
use crate::engine::protocol::TrainFrame;
use crate::ui::text;
use crate::ui::theme::Theme;
use crate::ui::widgets::notice::notice;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// What every part of the view draws from.
pub struct View<'a> {
    pub watch: &'a WatchState,
    pub shared: &'a Shared,
    pub theme: &'a Theme,
    pub layer: usize,
    pub base: Option<&'a TrainFrame>,
    /// The step that is looked at; `None` while there is the base alone.
    pub frame: Option<&'a TrainFrame>,
    /// There is room for one part at a time.
    pub alone: bool,
}

impl<'a> View<'a> {
    fn new(watch: &'a WatchState, shared: &'a Shared, theme: &'a Theme) -> Self {
        let frame = watch.current().map(|(_, k)| &*k.frame);
        Self { watch, shared, theme, layer: watch.layer(), base: watch.base(), frame, alone: false }
    }

    /// The step's number alone, for a narrow column.
    pub fn step(&self) -> String {
        self.frame.map_or("-".into(), |f| f.step.to_string())
    }

    /// Base and step with their names and styles: what stands side by side.
    pub fn sides(&self) -> [(String, Style, Option<&'a TrainFrame>); 2] {
        let bold = Modifier::BOLD;
        let step = self.frame.map_or("step".into(), |f| format!("step {}", f.step));
        [
            ("base".into(), self.theme.base().add_modifier(bold), self.base),
            (step, self.theme.aligned().add_modifier(bold), self.frame),
        ]
    }
}

/// What the frame's title says after the pane's name.
pub fn title(app: &App) -> String {
    let watch = &app.training.watch;
    let mut parts = vec!["watch it align".to_owned()];
    if let Some(scene) = watch.scene() {
        parts.push(text::harmless(&scene.label));
    }
    if let Some(pca) = watch.frame().and_then(|f| f.pca.as_ref()) {
        parts.push(format!("{} x {} items", pca.langs.join(" "), pca.n));
    }
    let separator = if app.theme == crate::app::ThemeKind::Ascii { " | " } else { " · " };
    parts.retain(|p| !p.is_empty());
    parts.join(separator)
}

/// Draws the inside of the pane.
pub fn render(buf: &mut Buffer, area: Rect, app: &App, _focused: bool, theme: &Theme) {
    draw(buf, area, &app.training.watch, &app.shared, theme);
}

/// Draws the view from its state alone.
fn draw(buf: &mut Buffer, area: Rect, watch: &WatchState, shared: &Shared, theme: &Theme) {
    let area = area.intersection(buf.area);
    if watch.frame().is_none() {
        return nothing_yet(buf, area, watch, shared, theme);
    }
    if area.height < 2 || area.width < 12 {
        return;
    }
    let rows = timeline_rows(area.height);
    let gap = u16::from(area.height >= 30);
    let body = Rect { height: area.height - rows - gap, ..area };
    let layout = arrange(body);
    let view = View { alone: layout == Arranged::Alone, ..View::new(watch, shared, theme) };
    watch_time::render(buf, Rect { y: area.bottom() - rows, height: rows, ..area }, &view);
    parts(buf, body, layout, &view);
}

/// How the parts stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arranged {
    /// The lens beside the others.
    Beside,
    Stacked,
    /// One at a time.
    Alone,
}

fn arrange(area: Rect) -> Arranged {
    if area.width >= 100 && area.height >= 18 {
        Arranged::Beside
    } else if area.width >= 44 && area.height >= 34 {
        Arranged::Stacked
    } else {
        Arranged::Alone
    }
}

/// Lens, plane and pairs: together where there is room, else the chosen one.
fn parts(buf: &mut Buffer, area: Rect, arranged: Arranged, view: &View) {
    match arranged {
        Arranged::Beside => {
            let left = Rect { width: area.width / 2, ..area };
            let right = Rect { x: left.right() + 2, width: area.width - left.width - 2, ..area };
            watch_lens::render(buf, left, view);
            // A plot half as wide as this is about as high as its data need.
            let upper = (right.width / 5 + 6).clamp(area.height * 2 / 5, area.height * 4 / 7);
            let upper = Rect { height: upper, ..right };
            let lower = Rect { y: upper.bottom() + 1, height: area.height - upper.height - 1, ..right };
            watch_plane::render(buf, upper, view);
            watch_pairs::render(buf, lower, view);
        }
        Arranged::Stacked => {
            let tenth = area.height / 10;
            let lens = Rect { height: tenth * 4, ..area };
            let plane = Rect { y: lens.bottom() + 1, height: tenth * 3, ..area };
            let pairs = Rect { y: plane.bottom() + 1, height: area.bottom() - plane.bottom() - 1, ..area };
            watch_lens::render(buf, lens, view);
            watch_plane::render(buf, plane, view);
            watch_pairs::render(buf, pairs, view);
        }
        Arranged::Alone => match view.watch.part {
            Part::Lens => watch_lens::render(buf, area, view),
            Part::Plane => watch_plane::render(buf, area, view),
            Part::Pairs => watch_pairs::render(buf, area, view),
        },
    }
}

/// Without a frame: what is missing, and what to press.
fn nothing_yet(buf: &mut Buffer, area: Rect, watch: &WatchState, shared: &Shared, theme: &Theme) {
    let blank = || (String::new(), theme.text());
    let run = &watch.run;
    let asked = watch.asked.as_ref().is_some_and(|w| w.query.is_some() || w.pca.is_some());
    let query = !(shared.query.text.is_empty() && shared.query.prefix.is_empty());
    let codes = watch.set.codes(shared);
    let mut lines = vec![("Watch it align".to_owned(), theme.accent()), blank()];
    if run.live && asked {
        let every = watch.asked.as_ref().map_or(1, |w| w.every);
        lines.push(("The base model's frame is being computed.".into(), theme.strong()));
        let what = format!("It comes first; then a frame every {every} steps.");
        lines.push((what, theme.dim()));
    } else if run.live {
        lines.push(("This run was started without frames.".into(), theme.strong()));
        let what = "Press Q to watch the current query and languages from now on.";
        lines.push((what.into(), theme.text()));
    } else if shared.model.is_none() {
        lines.push(("No model is loaded: press m to choose one.".into(), theme.strong()));
    } else {
        lines.push((
            "No run has been watched yet: b goes back to the run, where one is started.".into(),
            theme.strong(),
        ));
        lines.push(blank());
        let why = "While it trains, the lens and the languages' plane are computed again every few steps with the \
                   adapter as it is then, beside the base, and kept to be scrubbed through.";
        lines.push((why.into(), theme.dim()));
    }
    if !(run.live && asked) && shared.model.is_some() {
        lines.push(blank());
        let sign = |ok: bool| if ok { theme.glyphs.check } else { theme.glyphs.cross };
        let style = |ok: bool| if ok { theme.good() } else { theme.warn() };
        let what = if query { "the current query" } else { "no query: i chooses an item, e writes a text" };
        lines.push((format!("{} lens: {what}", sign(query)), style(query)));
        let set = codes.len() > 1;
        let what = if set {
            format!("{} (chosen in the PCA pane)", codes.join(" "))
        } else {
            "fewer than two languages: 4 shows the PCA pane, / chooses there".into()
        };
        lines.push((format!("{} plane and pairs: {what}", sign(set)), style(set)));
    }
    notice(buf, area, &lines);
}

/// A part's heading: its name, and what it says about itself as far as there is room. Returns the rest of the area.
pub fn heading(buf: &mut Buffer, area: Rect, name: &str, details: &str, theme: &Theme) -> Rect {
    let x = text::put(
        buf,
        area,
        area.x,
        area.y,
        &text::ellipsize(name, usize::from(area.width), theme.glyphs.ascii),
        theme.strong(),
    );
    let room = usize::from(area.right().saturating_sub(x + 2));
    if room > 3 {
        text::put(buf, area, x + 2, area.y, &text::ellipsize(details, room, theme.glyphs.ascii), theme.dim());
    }
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
