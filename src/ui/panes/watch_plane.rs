//! The languages' plane: base and step side by side on the same axes, with the way that each language went.

use super::watch::{View, heading};
use crate::app::library::language_index;
use crate::app::panes::watch::pca_layer;
use crate::app::panes::watch_digest::{Digest, wider};
use crate::engine::protocol::TrainFrame;
use crate::ui::text;
use crate::ui::theme::Theme;
use crate::ui::widgets::legend::{Entry, legend};
use crate::ui::widgets::plot::PlotStyle;
use crate::ui::widgets::scatter::{Class, Marks, Ranges, Scatter, Trail, around};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Draws the heading, the two scatters and, where there is room, the legend.
pub fn render(buf: &mut Buffer, area: Rect, view: &View) {
    let Some(answer) = view.frame.or(view.base).and_then(|f| f.pca.as_ref()) else {
        let words = "No languages in these frames: the PCA pane (4) chooses them, Q watches them.";
        return super::centred(buf, area, words, view.theme.dim());
    };
    let variance = view.base.and_then(|f| pca_layer(f, view.layer)).map(|l| &l.explained_variance_ratio[..]);
    let variance = match variance {
        Some([a, b, ..]) => format!("PC1 {:.0} % PC2 {:.0} %", 100.0 * a, 100.0 * b),
        _ => String::new(),
    };
    let separator = view.theme.glyphs.separator;
    let details = format!("layer {} {separator} {variance} {separator} base's fit", view.layer);
    let mut rest = heading(buf, area, "languages", &details, view.theme);
    if rest.height >= 12 {
        let entries: Vec<Entry> = answer.langs.iter().map(|code| entry(code, view)).collect();
        let at = Rect { y: rest.bottom() - 1, height: 1, ..rest };
        legend(buf, at, &entries, view.theme.glyphs.ascii);
        rest.height -= 1;
    }
    let ranges = common_ranges(view);
    let width = (rest.width.saturating_sub(1)) / 2;
    for (i, (name, style, frame)) in view.sides().into_iter().enumerate() {
        let at = Rect { x: rest.x + i as u16 * (width + 1), width, ..rest };
        text::put(buf, at, at.x, at.y, &name, style);
        let plot = Rect { y: at.y + 1, height: at.height.saturating_sub(1), ..at };
        match frame {
            Some(frame) => scatter(buf, plot, frame, ranges, i == 1, view),
            None => {
                let words =
                    if i == 0 { "no frame of the base" } else { "the first step's frame is on its way" };
                super::centred(buf, plot, words, view.theme.dim());
            }
        }
    }
}

/// A language's mark and colour.
fn look(code: &str, view: &View) -> (char, Style) {
    let index = language_index(&*view.shared.library, code);
    (view.theme.language_mark(index), view.theme.language(index))
}

fn entry<'a>(code: &'a str, view: &View) -> Entry<'a> {
    let (mark, mark_style) = look(code, view);
    Entry { mark, mark_style, name: code, name_style: view.theme.text() }
}

/// Ranges that hold the base and all frames at this layer: nothing jumps while one scrubs.
fn common_ranges(view: &View) -> Option<Ranges> {
    let extents = view.watch.digests(view.layer).filter_map(|d| d.extent);
    extents.reduce(|a, b| [wider(a[0], b[0]), wider(a[1], b[1])]).map(around)
}

/// The centroids of a scene's language from the base to the frame that is looked at.
fn path(language: usize, view: &View) -> Vec<[f64; 2]> {
    let until = view.frame.map_or(0, |f| f.step);
    let base = view.watch.scene().map(|s| &s.digest);
    let frames = view.watch.of_scene().filter(|k| k.frame.step <= until).map(|k| &k.digest);
    let of = |d: &Digest| *d.layer(view.layer)?.centroids.get(language)?;
    base.into_iter().chain(frames).filter_map(of).collect()
}

fn scatter(
    buf: &mut Buffer,
    area: Rect,
    frame: &TrainFrame,
    ranges: Option<Ranges>,
    moved: bool,
    view: &View,
) {
    let theme: &Theme = view.theme;
    let (Some(answer), Some(layer)) = (&frame.pca, pca_layer(frame, view.layer)) else { return };
    let paths: Vec<Vec<[f64; 2]>> = match moved && view.watch.trails {
        true => (0..answer.langs.len()).map(|language| path(language, view)).collect(),
        false => Vec::new(),
    };
    let looks = answer.langs.iter().map(|code| look(code, view).1);
    let trails = paths.iter().zip(looks).map(|(points, style)| Trail { points, style }).collect();
    let classes = answer.langs.iter().map(|code| {
        let (mark, style) = look(code, view);
        Class { name: code, mark, style, points: layer.points.get(code).map_or(&[][..], |p| p) }
    });
    let scatter = Scatter {
        classes: classes.collect(),
        trails,
        ranges,
        equal: true,
        names_at_centroids: true,
        marks: Marks::Shapes,
        item: None,
        names: ("PC1", "PC2"),
        style: PlotStyle { line: theme.faint(), label: theme.dim(), ascii: theme.glyphs.ascii },
    };
    scatter.render(buf, area);
}
