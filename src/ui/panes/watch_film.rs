//! Over the steps: which of the followed words leads at every layer, and their probabilities at one layer.

use super::lens_cells::curve_value;
use super::watch::{View, heading};
use super::watch_curves::flat;
use crate::app::panes::watch::lens_layer;
use crate::engine::protocol::{LensLayer, TrainFrame};
use crate::ui::text;
use crate::ui::theme::{Curve, Ladder, Theme};
use crate::ui::widgets::axis;
use crate::ui::widgets::line_chart::{Line, LineChart};
use crate::ui::widgets::plot::PlotStyle;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// A followed word: its name, its looks, and how its probability is read from a layer.
pub struct Followed {
    pub name: String,
    pub mark: char,
    pub style: Style,
    which: Which,
}

enum Which {
    Curve(Curve),
    Word(usize),
}

impl Followed {
    /// The probability at a layer.
    pub fn of(&self, layer: &LensLayer) -> Option<f32> {
        match self.which {
            Which::Curve(curve) => curve_value(layer, curve),
            Which::Word(i) => layer.tracked.get(i).copied(),
        }
    }
}

/// What is followed: English and target words of a task's query, else the free text's words (the first four).
pub fn followed(view: &View) -> Vec<Followed> {
    let theme = view.theme;
    let Some(answer) = view.frame.or(view.base).and_then(|f| f.lens.as_ref()) else { return Vec::new() };
    let sets = &answer.sets;
    let has_curves = answer.runs.iter().flat_map(|r| &r.layers).any(|l| l.curves.is_some());
    if has_curves {
        let word = |curve| match curve {
            Curve::En => sets.latent.get(sets.gold),
            _ => sets.target.get(sets.gold),
        };
        let of = |curve: Curve| {
            let word = word(curve).map_or(String::new(), |s| format!(" {}", text::harmless(&s.word)));
            let (mark, style) = (theme.curve_mark(curve), theme.curve(curve));
            Followed { name: format!("{}{word}", curve.name()), mark, style, which: Which::Curve(curve) }
        };
        return [Curve::En, Curve::Target].map(of).into();
    }
    let of = |(i, set): (usize, &crate::engine::protocol::TokenSet)| Followed {
        name: text::harmless(&set.word),
        mark: theme.language_mark(i),
        style: theme.language(i),
        which: Which::Word(i),
    };
    sets.tracked.iter().take(4).enumerate().map(of).collect()
}

/// The frame that stands at each column of a strip over all steps; `None` where it is still to come.
fn columns<'a>(view: &View<'a>, width: u16) -> Vec<Option<&'a TrainFrame>> {
    let frames: Vec<&TrainFrame> = view.watch.of_scene().map(|k| &*k.frame).collect();
    let end = view.watch.end();
    let newest = frames.last().map_or(0.0, |f| f.step as f64);
    let at = |x: u16| {
        let step = f64::from(x) / f64::from(width.max(2) - 1) * end;
        let half = end / f64::from(width.max(2) - 1) / 2.0;
        let i = frames.partition_point(|f| f.step as f64 <= step + half);
        (step - half <= newest).then(|| i.checked_sub(1).map(|i| frames[i])).flatten()
    };
    (0..width).map(at).collect()
}

/// One layer's row of the strip: at each step the leading word, denser the more probable it is.
pub struct Strip<'a> {
    columns: Vec<Option<&'a TrainFrame>>,
    words: Vec<Followed>,
    /// Column of the frame that is looked at, and whether that is an earlier one.
    cursor: u16,
    held: bool,
}

impl<'a> Strip<'a> {
    /// The strip for `width` columns; `None` where no words are followed or no frame is there.
    pub fn new(view: &View<'a>, width: u16) -> Option<Self> {
        let words = followed(view);
        if words.is_empty() || width < 4 || view.frame.is_none() {
            return None;
        }
        let share = view.frame.map_or(0.0, |f| f.step as f64 / view.watch.end());
        let cursor = (share * f64::from(width - 1)).round() as u16;
        Some(Self { columns: columns(view, width), words, cursor, held: !view.watch.following() })
    }

    /// Names over the strip.
    pub fn head(&self, buf: &mut Buffer, row: Rect, theme: &Theme) {
        let mut x = row.x;
        for word in &self.words {
            let name = word.name.split(' ').next().unwrap_or_default();
            x = text::put(buf, row, x, row.y, &format!("{} {name}  ", word.mark), word.style);
        }
        text::put(buf, row, x, row.y, "over the steps", theme.dim());
    }

    /// Draws a layer's row.
    pub fn row(&self, buf: &mut Buffer, row: Rect, layer: usize, selected: bool, theme: &Theme) {
        for (i, frame) in self.columns.iter().enumerate() {
            let x = row.x + i as u16;
            let (sign, style) = match frame.and_then(|f| self.leader(lens_layer(f, layer)?)) {
                Some((word, p)) => self.cell(word, p, theme),
                None => (' ', Style::new()),
            };
            let (mut sign, mut style) = (sign, style);
            if self.cursor == i as u16 && self.held {
                (sign, style) = (theme.glyphs.axis, theme.strong());
            }
            if selected && theme.ladder != Ladder::None {
                style = style.patch(theme.selection_idle());
            }
            text::put(buf, row, x, row.y, sign.encode_utf8(&mut [0; 4]), style);
        }
    }

    /// Below the rows: the first and the last step, and the one that is looked at.
    pub fn foot(&self, buf: &mut Buffer, row: Rect, view: &View) {
        let theme = view.theme;
        let end = format!("{:.0}", view.watch.end());
        text::put(buf, row, row.x, row.y, "0", theme.faint());
        text::put_right(buf, row, row.y, &end, theme.faint());
        let words = format!("{} {}", theme.glyphs.arrow_up, view.step());
        let room = row.width.saturating_sub(text::width(&words) as u16 + end.len() as u16 + 1);
        let x = row.x + self.cursor.min(room);
        text::put(buf, row, x, row.y, &words, theme.accent());
    }

    /// The most probable of the followed words.
    fn leader(&self, layer: &LensLayer) -> Option<(usize, f32)> {
        let of = |(i, w): (usize, &Followed)| Some((i, w.of(layer)?));
        self.words.iter().enumerate().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Density tells how probable, colour which; where there are no blocks or no colours a letter tells which, large
    /// where it is more probable than not.
    fn cell(&self, word: usize, p: f32, theme: &Theme) -> (char, Style) {
        let followed = &self.words[word];
        if theme.ladder != Ladder::None && !theme.glyphs.ascii {
            let density = (p / 0.6).clamp(0.0, 1.0).sqrt().max(0.25);
            return (if p < 0.01 { ' ' } else { theme.shade(density) }, followed.style);
        }
        let letter = match followed.name.chars().next() {
            Some(c) if c.is_ascii_alphabetic() => c,
            _ => followed.mark,
        };
        match p {
            p if p < 0.01 => (' ', Style::new()),
            p if p < 0.1 => ('.', followed.style),
            p if p < 0.5 => (letter.to_ascii_lowercase(), followed.style),
            _ => (letter.to_ascii_uppercase(), followed.style.add_modifier(Modifier::BOLD)),
        }
    }
}

/// The followed words' probabilities at the chosen layer, over the steps; the base's as dotted lines.
pub fn chart(buf: &mut Buffer, area: Rect, view: &View) {
    if area.height < 5 || area.width < 16 {
        return;
    }
    let (watch, theme) = (view.watch, view.theme);
    let words = followed(view);
    if words.is_empty() {
        return entropy(buf, area, view);
    }
    let rest = heading(buf, area, &format!("layer {} over the steps", view.layer), "", theme);
    let mut x = area.x + text::width(&format!("layer {} over the steps", view.layer)) as u16 + 3;
    for word in &words {
        let name = format!("{} {}", word.mark, word.name);
        if x + text::width(&name) as u16 <= area.right() {
            x = text::put(buf, area, x, area.y, &name, word.style) + 3;
        }
    }
    if x + 11 < area.right() {
        text::put(buf, area, x, area.y, if theme.glyphs.ascii { "... base" } else { "┈ base" }, theme.dim());
    }
    let series: Vec<Vec<(f64, f64)>> = words
        .iter()
        .map(|w| watch.series(|k| lens_layer(&k.frame, view.layer).and_then(|l| w.of(l)).map(f64::from)))
        .collect();
    let base: Vec<Vec<(f64, f64)>> = words
        .iter()
        .map(|w| {
            let value = view.base.and_then(|f| w.of(lens_layer(f, view.layer)?));
            value.map_or(Vec::new(), |v| flat(v.into(), watch.end(), rest.width / 2))
        })
        .collect();
    let most =
        series.iter().chain(&base).flatten().map(|p| p.1).filter(|p| p.is_finite()).fold(0.0, f64::max);
    let high = [0.05, 0.1, 0.2, 0.5].into_iter().find(|h| most <= *h).unwrap_or(1.0);
    let line = |points, style, mark, weight, connected| Line { points, style, mark, weight, connected };
    let dotted = base.iter().zip(&words).map(|(p, w)| line(&p[..], w.style, '.', 1, false));
    let curves = series.iter().zip(&words).map(|(p, w)| line(&p[..], w.style, w.mark, 4, true));
    let chart = LineChart {
        lines: dotted.chain(curves).collect(),
        x_range: Some((0.0, watch.end())),
        y_range: Some((0.0, high)),
        names: ("step", "p"),
        cursor: view.frame.map(|f| f.step as f64),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
        ..LineChart::default()
    };
    chart.render(buf, rest);
}

/// Where no words are followed: the entropy over the steps.
fn entropy(buf: &mut Buffer, area: Rect, view: &View) {
    let theme = view.theme;
    let rest = heading(buf, area, &format!("layer {}: entropy over the steps", view.layer), "bits", theme);
    let of = |f: &TrainFrame| Some(f64::from(lens_layer(f, view.layer)?.entropy_bits));
    let points = view.watch.series(|k| of(&k.frame));
    let base = view.base.and_then(of).map_or(Vec::new(), |v| flat(v, view.watch.end(), rest.width / 2));
    let line = |points, connected| Line { points, style: theme.entropy(), mark: '*', weight: 1, connected };
    let range = axis::extent(points.iter().chain(&base).map(|p| p.1)).map(|r| axis::widen(r, 0.1));
    let chart = LineChart {
        lines: vec![line(&base[..], false), line(&points[..], true)],
        x_range: Some((0.0, view.watch.end())),
        y_range: range,
        names: ("step", "H"),
        cursor: view.frame.map(|f| f.step as f64),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
        ..LineChart::default()
    };
    chart.render(buf, rest);
}
