//! Colours that colour-blind readers tell apart, with a marker and a dash beside each, so that no reading
//! depends on colour alone.

/// Okabe and Ito's palette (2008) without its yellow, which is too light on white, and with two more.
pub const COLOURS: [&str; 9] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#882255", "#555555"];

/// Dash patterns that go with the lines of a plot, solid first.
pub const DASHES: [&str; 4] = ["", "6 3", "2 2.5", "8 3 2 3"];

/// Marker shapes of equal visual weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Plus,
    Cross,
}

/// All shapes in the order of use.
pub const MARKERS: [Marker; 7] =
    [Marker::Circle, Marker::Square, Marker::Up, Marker::Diamond, Marker::Down, Marker::Plus, Marker::Cross];

impl Marker {
    /// Corners for radius 1 around the origin, y downwards. The circle has none: it is drawn as such.
    pub fn outline(self) -> &'static [(f64, f64)] {
        match self {
            Self::Circle => &[],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Up => &[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)],
            Self::Down => &[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)],
            Self::Diamond => &[(0.0, -1.35), (1.2, 0.0), (0.0, 1.35), (-1.2, 0.0)],
            Self::Plus => &[
                (-0.42, -1.3),
                (0.42, -1.3),
                (0.42, -0.42),
                (1.3, -0.42),
                (1.3, 0.42),
                (0.42, 0.42),
                (0.42, 1.3),
                (-0.42, 1.3),
                (-0.42, 0.42),
                (-1.3, 0.42),
                (-1.3, -0.42),
                (-0.42, -0.42),
            ],
            Self::Cross => &[
                (0.0, -0.6),
                (0.62, -1.22),
                (1.22, -0.62),
                (0.6, 0.0),
                (1.22, 0.62),
                (0.62, 1.22),
                (0.0, 0.6),
                (-0.62, 1.22),
                (-1.22, 0.62),
                (-0.6, 0.0),
                (-1.22, -0.62),
                (-0.62, -1.22),
            ],
        }
    }
}

/// Colour, shape and dash of the i-th series: 63 combinations before any repeats.
pub fn series(i: usize) -> (&'static str, Marker, &'static str) {
    (COLOURS[i % COLOURS.len()], MARKERS[i % MARKERS.len()], DASHES[i % DASHES.len()])
}

/// Colour of a run, where each has one: the base (0) in grey, adapters (from 1) in colour.
pub fn run_colour(run: usize) -> &'static str {
    match run {
        0 => "#8d949b",
        r => COLOURS[[0, 1, 2, 6, 7, 8][(r - 1) % 6]],
    }
}

/// Stops of a light-to-dark scale.
pub type Scale = [(u8, u8, u8); 5];

/// For probabilities: white to deep blue.
pub const BLUES: Scale = [(255, 255, 255), (222, 235, 247), (158, 202, 225), (66, 146, 198), (8, 69, 148)];

/// For entropy: white to deep purple.
pub const PURPLES: Scale =
    [(252, 251, 253), (218, 218, 235), (188, 189, 220), (128, 125, 186), (74, 20, 134)];

/// The colour of `value` in 0..=1 (clamped; not a number: the lightest), as `#rrggbb`.
pub fn shade(scale: &Scale, value: f64) -> String {
    let (r, g, b) = mix(scale, value);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Black or white, whichever reads better on that shade.
pub fn ink_on(scale: &Scale, value: f64) -> &'static str {
    let (r, g, b) = mix(scale, value);
    let luminance = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if luminance < 140.0 { "#ffffff" } else { super::scene::INK }
}

fn mix(scale: &Scale, value: f64) -> (u8, u8, u8) {
    let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    let at = value * (scale.len() - 1) as f64;
    let low = (at.floor() as usize).min(scale.len() - 2);
    let part = at - low as f64;
    let (a, b) = (scale[low], scale[low + 1]);
    let channel = |x: u8, y: u8| (f64::from(x) + part * (f64::from(y) - f64::from(x))).round() as u8;
    (channel(a.0, b.0), channel(a.1, b.1), channel(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sixty_series_differ() {
        let all: HashSet<_> = (0..60).map(|i| format!("{:?}", series(i))).collect();
        assert_eq!(all.len(), 60);
    }

    #[test]
    fn shades_are_clamped() {
        assert_eq!(shade(&BLUES, 0.0), "#ffffff");
        assert_eq!(shade(&BLUES, 7.0), "#084594");
        assert_eq!(shade(&BLUES, f64::NAN), "#ffffff");
        assert_eq!(ink_on(&BLUES, 1.0), "#ffffff");
        assert_eq!(ink_on(&BLUES, 0.1), super::super::scene::INK);
    }
}
