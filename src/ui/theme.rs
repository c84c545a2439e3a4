//! Colours and glyphs by role: dark, light and ASCII themes over a ladder of terminal abilities.
//!
//! Colour is never the only sign: every coloured distinction has a glyph, a place or a weight too.

use super::palette::{DARK, LIGHT, Palette, blend, nearest_16, nearest_256};
use crate::app::ThemeKind;
use ratatui::style::{Color, Modifier, Style};

/// How many colours the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ladder {
    /// No colour is ever emitted (NO_COLOR); bold and reverse remain.
    None,
    Ansi16,
    Indexed256,
    Rgb,
}

impl Ladder {
    /// What the terminal says about itself: NO_COLOR, COLORTERM, TERM.
    pub fn detect(var: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| var(name).is_some_and(|v| !v.is_empty());
        let (term, colour) = (var("TERM").unwrap_or_default(), var("COLORTERM").unwrap_or_default());
        if is_set("NO_COLOR") || term == "dumb" {
            Self::None
        } else if colour.contains("truecolor") || colour.contains("24bit") || term.contains("direct") {
            Self::Rgb
        } else if term.contains("256") || is_set("TMUX") || term.contains("kitty") {
            Self::Indexed256
        } else {
            Self::Ansi16
        }
    }
}

/// The four curves of the logit lens, in the order they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    En,
    Target,
    Latent,
    Out,
}

impl Curve {
    /// All four.
    pub const ALL: [Self; 4] = [Self::En, Self::Target, Self::Latent, Self::Out];

    /// The short name shown above its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Target => "target",
            Self::Latent => "all latent",
            Self::Out => "all out",
        }
    }
}

/// Glyphs, with plain ASCII for terminals and fonts that have nothing else.
#[derive(Clone, Debug)]
pub struct Glyphs {
    /// True for the ASCII set: no character above 0x7E is used for furniture.
    pub ascii: bool,
    /// Bars from 1/8 to 8/8 of a cell, left-aligned.
    pub eighths: [char; 8],
    /// The unfilled part of a bar.
    pub track: char,
    /// Marks of the four curves.
    pub curves: [char; 4],
    /// Marker shapes of the 20 languages.
    pub languages: [char; 20],
    /// Density from none to full, a second sign beside heat colours.
    pub shades: [char; 5],
    /// The middle line of diverging bars.
    pub axis: char,
    /// A slider's line and knob.
    pub slider: (char, char),
    pub ellipsis: &'static str,
    pub selected: &'static str,
    pub live: &'static str,
    pub check: &'static str,
    pub cross: &'static str,
    pub arrow_right: &'static str,
    pub arrow_up: &'static str,
    pub arrow_down: &'static str,
    pub separator: &'static str,
    /// A visible space inside a token.
    pub space: &'static str,
    pub delta: &'static str,
    pub spinner: &'static [&'static str],
}

const UNICODE: Glyphs = Glyphs {
    ascii: false,
    eighths: ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
    track: '·',
    curves: ['●', '◆', '○', '◇'],
    languages: [
        '●', '■', '▲', '◆', '★', '▼', '○', '□', '△', '◇', '☆', '▽', '◐', '◧', '◭', '✚', '✖', '✱', '◉', '▣',
    ],
    shades: [' ', '░', '▒', '▓', '█'],
    axis: '│',
    slider: ('─', '●'),
    ellipsis: "…",
    selected: "▌",
    live: "●",
    check: "✓",
    cross: "✗",
    arrow_right: "→",
    arrow_up: "▲",
    arrow_down: "▼",
    separator: "·",
    space: "␣",
    delta: "Δ",
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};

const ASCII: Glyphs = Glyphs {
    ascii: true,
    // No fractions of a cell: the first three round down to nothing.
    eighths: [' ', ' ', ' ', '-', '-', '=', '=', '#'],
    track: '.',
    curves: ['*', '+', 'o', 'x'],
    languages: [
        'E', 'Z', 'D', 'F', 'S', 'I', 'N', 'J', 'R', 'V', 'L', 'P', 'B', 'O', 'M', 'C', 'H', 'T', 'W', 'G',
    ],
    shades: [' ', '.', ':', '+', '#'],
    axis: '|',
    slider: ('-', 'O'),
    ellipsis: "~",
    selected: ">",
    live: "*",
    check: "+",
    cross: "x",
    arrow_right: "->",
    arrow_up: "^",
    arrow_down: "v",
    separator: "|",
    space: "_",
    delta: "d",
    spinner: &["|", "/", "-", "\\"],
};

/// Everything a renderer needs to know about looks.
#[derive(Clone, Debug)]
pub struct Theme {
    pub kind: ThemeKind,
    pub ladder: Ladder,
    pub glyphs: Glyphs,
    palette: &'static Palette,
}

impl Theme {
    /// The theme of that kind on a terminal of that ability.
    pub fn new(kind: ThemeKind, ladder: Ladder) -> Self {
        let palette = if kind == ThemeKind::Light { &LIGHT } else { &DARK };
        let glyphs = if kind == ThemeKind::Ascii { ASCII } else { UNICODE };
        Self { kind, ladder, glyphs, palette }
    }

    /// An RGB colour on this ladder; `None` where no colour may be emitted.
    fn colour(&self, rgb: u32) -> Option<Color> {
        match self.ladder {
            Ladder::None => None,
            Ladder::Ansi16 => Some(nearest_16(rgb)),
            Ladder::Indexed256 => Some(Color::Indexed(nearest_256(rgb))),
            Ladder::Rgb => Some(Color::Rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)),
        }
    }

    fn fg(&self, rgb: u32) -> Style {
        self.colour(rgb).map_or(Style::new(), |c| Style::new().fg(c))
    }

    /// The ground everything is drawn on.
    pub fn background(&self) -> Style {
        match self.ladder {
            Ladder::None => Style::new(),
            // Sixteen colours have no calm dark ground of their own: keep the terminal's.
            Ladder::Ansi16 if self.kind != ThemeKind::Light => Style::new(),
            Ladder::Ansi16 => Style::new().fg(Color::Black).bg(Color::White),
            _ => self.fg(self.palette.text).patch(self.on(self.palette.ground)),
        }
    }

    fn on(&self, rgb: u32) -> Style {
        self.colour(rgb).map_or(Style::new(), |c| Style::new().bg(c))
    }

    /// Ordinary text.
    pub fn text(&self) -> Style {
        match self.ladder {
            Ladder::Ansi16 if self.kind == ThemeKind::Light => Style::new().fg(Color::Black),
            Ladder::Ansi16 => Style::new(),
            _ => self.fg(self.palette.text),
        }
    }

    /// Text that matters most: bold.
    pub fn strong(&self) -> Style {
        self.text().add_modifier(Modifier::BOLD)
    }

    /// Labels, units, secondary text.
    pub fn dim(&self) -> Style {
        match self.ladder {
            Ladder::None => Style::new().add_modifier(Modifier::DIM),
            _ => self.fg(self.palette.dim),
        }
    }

    /// Furniture: bar tracks, rules, borders of panes without the focus.
    pub fn faint(&self) -> Style {
        match self.ladder {
            Ladder::None => Style::new().add_modifier(Modifier::DIM),
            _ => self.fg(self.palette.faint),
        }
    }

    /// Focus, titles, the current choice.
    pub fn accent(&self) -> Style {
        self.fg(self.palette.accent).add_modifier(Modifier::BOLD)
    }

    /// A pane's border.
    pub fn border(&self, focused: bool) -> Style {
        if focused { self.fg(self.palette.accent) } else { self.faint() }
    }

    /// The selected row or cell.
    pub fn selection(&self) -> Style {
        match self.ladder {
            Ladder::None | Ladder::Ansi16 => Style::new().add_modifier(Modifier::REVERSED),
            _ => self.on(self.palette.selection),
        }
    }

    /// A selected row in a pane without the focus.
    pub fn selection_idle(&self) -> Style {
        match self.ladder {
            Ladder::None | Ladder::Ansi16 => Style::new().add_modifier(Modifier::BOLD),
            _ => self.on(self.palette.raised),
        }
    }

    /// Overlays and fields stand on a raised ground.
    pub fn raised(&self) -> Style {
        match self.ladder {
            Ladder::None | Ladder::Ansi16 => self.background(),
            _ => self.text().patch(self.on(self.palette.raised)),
        }
    }

    /// A key in hints and help.
    pub fn key(&self) -> Style {
        self.fg(self.palette.key).add_modifier(Modifier::BOLD)
    }

    /// Numbers of the base model.
    pub fn base(&self) -> Style {
        self.fg(self.palette.base)
    }

    /// Numbers of a model with an adapter.
    pub fn aligned(&self) -> Style {
        self.fg(self.palette.aligned)
    }

    /// The base or an aligned run.
    pub fn run(&self, run: crate::engine::protocol::RunId) -> Style {
        if run.is_none() { self.base() } else { self.aligned() }
    }

    /// A difference: above zero, below zero, or (nearly) none.
    pub fn change(&self, value: f32) -> Style {
        if value > 0.0 {
            self.fg(self.palette.gain)
        } else if value < 0.0 {
            self.fg(self.palette.loss)
        } else {
            self.faint()
        }
    }

    /// One of the four curves.
    pub fn curve(&self, curve: Curve) -> Style {
        self.fg(self.palette.curves[curve as usize])
    }

    /// The mark of one of the four curves.
    pub fn curve_mark(&self, curve: Curve) -> char {
        self.glyphs.curves[curve as usize]
    }

    /// Entropy and other scales that are not a probability.
    pub fn entropy(&self) -> Style {
        self.fg(self.palette.entropy)
    }

    /// Something went well or is live.
    pub fn good(&self) -> Style {
        self.fg(self.palette.good)
    }

    /// Something to look at.
    pub fn warn(&self) -> Style {
        self.fg(self.palette.warn)
    }

    /// Something failed.
    pub fn error(&self) -> Style {
        self.fg(self.palette.error).add_modifier(Modifier::BOLD)
    }

    /// The colour of the i-th language (science.md's order).
    pub fn language(&self, index: usize) -> Style {
        self.fg(self.palette.languages[index % 20])
    }

    /// The marker shape of the i-th language.
    pub fn language_mark(&self, index: usize) -> char {
        self.glyphs.languages[index % 20]
    }

    /// The colour of the i-th label of a task, and the sign that fills its part of a bar.
    pub fn label(&self, index: usize) -> (char, Style) {
        let (sign, language) = [(4, 0), (1, 4), (3, 8), (2, 11)][index % 4];
        (self.glyphs.shades[sign], self.language(language))
    }

    /// Ground and text for a cell of a heat map at `p` in 0..=1 (NaN counts as 0).
    pub fn heat(&self, p: f32) -> Style {
        let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.0 };
        match self.ladder {
            Ladder::None if p >= 0.5 => Style::new().add_modifier(Modifier::BOLD),
            Ladder::None if p < 0.1 => Style::new().add_modifier(Modifier::DIM),
            Ladder::None => Style::new(),
            Ladder::Ansi16 => heat_16(p, self.kind == ThemeKind::Light),
            _ => {
                let stops = &self.palette.heat;
                let at = p * (stops.len() - 1) as f32;
                let low = (at as usize).min(stops.len() - 2);
                let ground = blend(stops[low], stops[low + 1], at - low as f32);
                let ink = if luminance(ground) > 0.36 { 0x10131a } else { 0xe8ebf2 };
                self.fg(ink).patch(self.on(ground))
            }
        }
    }

    /// The heat's colour alone, as a foreground.
    pub fn heat_fg(&self, p: f32) -> Style {
        match self.heat(p).bg {
            Some(c) => Style::new().fg(c),
            None => Style::new(),
        }
    }

    /// A second sign of `p` in 0..=1 for terminals without colour: five densities.
    pub fn shade(&self, p: f32) -> char {
        let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.0 };
        self.glyphs.shades[((p * 4.0).round() as usize).min(4)]
    }

    /// Old data while new data is computed.
    pub fn stale(&self, style: Style) -> Style {
        match self.ladder {
            Ladder::None | Ladder::Ansi16 => style.add_modifier(Modifier::DIM),
            _ => style.patch(self.fg(self.palette.faint)),
        }
    }
}

fn heat_16(p: f32, light: bool) -> Style {
    let style = Style::new();
    match (p * 5.0) as u32 {
        0 if light => style.fg(Color::Black).bg(Color::White),
        0 => style,
        1 => style.fg(Color::White).bg(Color::Blue),
        2 => style.fg(Color::Black).bg(Color::Cyan),
        3 => style.fg(Color::Black).bg(Color::Green),
        _ => style.fg(Color::Black).bg(Color::Yellow),
    }
}

/// Relative luminance (ITU-R BT.709 weights on gamma 2.2 channels), 0..=1.
fn luminance(rgb: u32) -> f32 {
    let channel = |shift: u32| (((rgb >> shift) & 0xff) as f32 / 255.0).powf(2.2);
    0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(vars: &[(&str, &str)]) -> Ladder {
        Ladder::detect(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
    }

    #[test]
    fn the_ladder_follows_the_environment() {
        assert_eq!(ladder(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]), Ladder::None);
        assert_eq!(ladder(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]), Ladder::Rgb);
        assert_eq!(ladder(&[("TERM", "xterm-256color")]), Ladder::Indexed256);
        assert_eq!(ladder(&[("TERM", "linux")]), Ladder::Ansi16);
    }

    #[test]
    fn no_colour_means_none_in_any_role() {
        for kind in ThemeKind::ALL {
            let t = Theme::new(kind, Ladder::None);
            let mut styles = vec![t.background(), t.text(), t.dim(), t.accent(), t.selection(), t.base()];
            styles.extend([t.aligned(), t.error(), t.raised(), t.border(true), t.key(), t.change(1.0)]);
            styles.extend((0..=10).map(|i| t.heat(i as f32 / 10.0)));
            styles.extend((0..20).map(|i| t.language(i)));
            styles.extend(Curve::ALL.map(|c| t.curve(c)));
            assert!(styles.iter().all(|s| s.fg.is_none() && s.bg.is_none()));
        }
    }

    #[test]
    fn heat_survives_odd_numbers_and_keeps_contrast() {
        for ladder in [Ladder::None, Ladder::Ansi16, Ladder::Indexed256, Ladder::Rgb] {
            let t = Theme::new(ThemeKind::Dark, ladder);
            for p in [f32::NAN, f32::INFINITY, -1.0, 0.0, 0.5, 1.0, 2.0] {
                let style = t.heat(p);
                assert!(style.bg.is_none() || style.fg != style.bg);
                t.shade(p);
            }
        }
    }

    #[test]
    fn ascii_furniture_is_ascii() {
        let g = Theme::new(ThemeKind::Ascii, Ladder::Rgb).glyphs;
        let chars = g.eighths.iter().chain(&g.curves).chain(&g.languages).chain(&g.shades);
        assert!(chars.chain([&g.axis, &g.track, &g.slider.0, &g.slider.1]).all(char::is_ascii));
        assert!([g.ellipsis, g.selected, g.space, g.arrow_right].iter().all(|s| s.is_ascii()));
    }
}
