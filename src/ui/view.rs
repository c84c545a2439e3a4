//! The whole screen from the app's state. See `app::layout` for the drawing of where things are.

use super::{frame, overlays, panes, text, theme::Theme};
use crate::app::layout::{Area, NEEDED};
use crate::app::{App, PaneId};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Block, BorderType, Widget};

/// Draws everything; returns where the cursor is to be shown, if anywhere.
pub fn render(buf: &mut Buffer, app: &App, theme: &Theme) -> Option<Position> {
    let screen = buf.area;
    buf.set_style(screen, theme.background());
    let Some(layout) = app.layout() else {
        too_small(buf, screen, theme);
        return None;
    };
    frame::header(buf, rect(layout.header), app, theme);
    frame::tabs(buf, rect(layout.tabs), app, theme);
    frame::strip(buf, rect(layout.strip), app, theme);
    let mut cursor = None;
    for (pane, area) in &layout.panes {
        let focused = *pane == app.focus && app.overlay.is_none();
        if let Some(at) = pane_with_frame(buf, rect(*area), *pane, focused, app, theme) {
            cursor = Some(at);
        }
    }
    frame::message(buf, rect(layout.message), app, theme);
    frame::hints(buf, rect(layout.hints), app, theme);
    match &app.overlay {
        Some(overlay) => overlays::render(buf, overlay, app, theme),
        None => cursor,
    }
}

/// A cell rectangle as ratatui's.
pub fn rect(area: Area) -> Rect {
    Rect::new(area.x, area.y, area.width, area.height)
}

fn pane_with_frame(
    buf: &mut Buffer,
    area: Rect,
    pane: PaneId,
    focused: bool,
    app: &App,
    theme: &Theme,
) -> Option<Position> {
    let block = border(theme).border_style(theme.border(focused));
    let inner = block.inner(area).intersection(buf.area);
    block.render(area, buf);
    let title = match pane {
        PaneId::Query => panes::query::title(app),
        PaneId::Lens => panes::lens::title(app),
        PaneId::Grid => panes::grid::title(app),
        PaneId::Pca => panes::pca::title(app),
        PaneId::Training => panes::training::title(app),
        PaneId::Eval => panes::eval::title(app),
    };
    let top = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: 1, ..area };
    let name_style = if focused { theme.accent() } else { theme.dim() };
    let x = text::put(buf, top, top.x, top.y, &format!(" {} {} ", pane.number(), pane.name()), name_style);
    if !title.is_empty() && x < top.right() {
        let room = usize::from(top.right() - x).saturating_sub(1);
        let title = format!("{} ", text::ellipsize(&title, room.saturating_sub(1), theme.glyphs.ascii));
        text::put(buf, top, x, top.y, &title, theme.dim());
    }
    match pane {
        PaneId::Query => return panes::query::render(buf, inner, app, focused, theme),
        PaneId::Lens => panes::lens::render(buf, inner, app, focused, theme),
        PaneId::Grid => panes::grid::render(buf, inner, app, focused, theme),
        PaneId::Pca => panes::pca::render(buf, inner, app, focused, theme),
        PaneId::Training => return panes::training::render(buf, inner, app, focused, theme),
        PaneId::Eval => panes::eval::render(buf, inner, app, focused, theme),
    }
    None
}

/// The frame of panes and overlays.
pub fn border(theme: &Theme) -> Block<'static> {
    let block = Block::bordered();
    if theme.glyphs.ascii {
        block.border_set(ratatui::symbols::border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        })
    } else {
        block.border_type(BorderType::Rounded)
    }
}

fn too_small(buf: &mut Buffer, screen: Rect, theme: &Theme) {
    if screen.is_empty() {
        return;
    }
    let line = format!(
        "{} x {} is too small: polylens needs {} x {} (q quits)",
        screen.width, screen.height, NEEDED.0, NEEDED.1
    );
    let rows = crate::app::text::rows(&line, usize::from(screen.width));
    let top = screen.height.saturating_sub(rows.len() as u16) / 2;
    for (i, row) in rows.into_iter().take(usize::from(screen.height)).enumerate() {
        text::put(buf, screen, screen.x, screen.y + top + i as u16, &line[row], theme.text());
    }
}
