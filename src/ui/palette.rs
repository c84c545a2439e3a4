//! The colours themselves, and how they fall on smaller ladders.

use ratatui::style::Color;

/// One theme's colours, 0xRRGGBB.
#[derive(Debug)]
pub struct Palette {
    pub ground: u32,
    pub raised: u32,
    pub selection: u32,
    pub text: u32,
    pub dim: u32,
    pub faint: u32,
    pub accent: u32,
    pub key: u32,
    pub base: u32,
    pub aligned: u32,
    pub gain: u32,
    pub loss: u32,
    pub entropy: u32,
    pub good: u32,
    pub warn: u32,
    pub error: u32,
    /// en, target, all latent, all out: a hue for English, a hue for the target language, and a
    /// quieter tone of each for "all possible".
    pub curves: [u32; 4],
    /// From impossible to certain.
    pub heat: [u32; 6],
    pub languages: [u32; 20],
}

/// Calm and dark.
pub static DARK: Palette = Palette {
    ground: 0x12151c,
    raised: 0x1c212c,
    selection: 0x2a3145,
    text: 0xd5d9e2,
    dim: 0x8c94a6,
    faint: 0x4a5264,
    accent: 0xb79cf2,
    key: 0xe3c78a,
    base: 0xa9b8cc,
    aligned: 0x7fd6a4,
    gain: 0x7fd6a4,
    loss: 0xf07c8a,
    entropy: 0xc3a66b,
    good: 0x7fd6a4,
    warn: 0xe8b85f,
    error: 0xf07c8a,
    curves: [0x6cb2f5, 0xf59a5f, 0x4573a6, 0xa66842],
    heat: [0x161a23, 0x22345c, 0x225f80, 0x2f9388, 0x86c966, 0xf5e27a],
    languages: [
        0x6cb2f5, 0xf07c8a, 0xe8b85f, 0x8a9cf5, 0xf59a5f, 0x7fd6a4, 0xff8fc7, 0xe05f5f, 0x5fd0d6, 0xd6d65f,
        0x9fd65f, 0xd68ff0, 0x5fa87f, 0x8fb8d6, 0xc79a6b, 0xa8a8f0, 0xf0a83f, 0xb79cf2, 0x3fc7a8, 0xd67fa8,
    ],
};

/// For bright rooms and paper.
pub static LIGHT: Palette = Palette {
    ground: 0xfafaf7,
    raised: 0xeeeeea,
    selection: 0xd9dff0,
    text: 0x242833,
    dim: 0x606776,
    faint: 0xb4b9c4,
    accent: 0x6a48c7,
    key: 0x8a5a00,
    base: 0x4a5d78,
    aligned: 0x0f824e,
    gain: 0x0f824e,
    loss: 0xb82a40,
    entropy: 0x8a661a,
    good: 0x0f824e,
    warn: 0x9a6200,
    error: 0xb82a40,
    curves: [0x166fc4, 0xc95710, 0x7fabd6, 0xdda27d],
    heat: [0xf4f4f0, 0xcfdeee, 0x93c0dc, 0x4b9bb8, 0x226f90, 0x143f63],
    languages: [
        0x166fc4, 0xb82a40, 0x9a6200, 0x4850c0, 0xc95710, 0x0f824e, 0xc03088, 0x961e1e, 0x0b7d86, 0x777700,
        0x4c800c, 0x9438b8, 0x2b6644, 0x3c6a8c, 0x805628, 0x5a5ab0, 0xb06600, 0x6a48c7, 0x008066, 0x9c3c68,
    ],
};

/// A linear blend in sRGB, `t` in 0..=1.
pub fn blend(a: u32, b: u32, t: f32) -> u32 {
    let mix = |shift: u32| {
        let (x, y) = (((a >> shift) & 0xff) as f32, ((b >> shift) & 0xff) as f32);
        ((x + (y - x) * t).round() as u32 & 0xff) << shift
    };
    mix(16) | mix(8) | mix(0)
}

fn channels(rgb: u32) -> [i32; 3] {
    [(rgb >> 16) as i32 & 0xff, (rgb >> 8) as i32 & 0xff, rgb as i32 & 0xff]
}

fn distance(a: [i32; 3], b: [i32; 3]) -> i32 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// The nearest colour of xterm's 6x6x6 cube and grey ramp (indices 16 to 255).
pub fn nearest_256(rgb: u32) -> u8 {
    let c = channels(rgb);
    let level = |i: i32| if i == 0 { 0 } else { 55 + 40 * i };
    let step = |v: i32| if v < 48 { 0 } else { ((v - 35) / 40).min(5) };
    let [r, g, b] = c.map(step);
    let cube = distance(c, [level(r), level(g), level(b)]);
    let grey = ((c.iter().sum::<i32>() / 3 - 3) / 10).clamp(0, 23);
    let ramp = distance(c, [8 + 10 * grey; 3]);
    if ramp < cube { 232 + grey as u8 } else { (16 + 36 * r + 6 * g + b) as u8 }
}

/// The sixteen colours by hue, since their actual values are the user's own.
pub fn nearest_16(rgb: u32) -> Color {
    let [r, g, b] = channels(rgb);
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high - low < 45 {
        return match high {
            0..=110 => Color::DarkGray,
            111..=200 => Color::Gray,
            _ => Color::Reset,
        };
    }
    let mid = (high + low) / 2;
    let bright = high > 170;
    match (r > mid, g > mid, b > mid) {
        (true, false, false) if bright => Color::LightRed,
        (true, false, false) => Color::Red,
        (false, true, false) if bright => Color::LightGreen,
        (false, true, false) => Color::Green,
        (true, true, _) if bright => Color::LightYellow,
        (true, true, _) => Color::Yellow,
        (false, false, _) if bright => Color::LightBlue,
        (false, false, _) => Color::Blue,
        (true, false, true) if bright => Color::LightMagenta,
        (true, false, true) => Color::Magenta,
        (false, true, true) if bright => Color::LightCyan,
        (false, true, true) => Color::Cyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours_fall_where_they_should() {
        assert_eq!(nearest_256(0xffffff), 231);
        assert_eq!(nearest_256(0x000000), 16);
        assert_eq!(nearest_256(0xff0000), 196);
        assert_eq!(nearest_256(0x808080), 244);
        assert_eq!(nearest_16(0xff2020), Color::LightRed);
        assert_eq!(nearest_16(0x20a020), Color::Green);
    }

    #[test]
    fn blends_meet_their_ends() {
        assert_eq!(blend(0x102030, 0xa0b0c0, 0.0), 0x102030);
        assert_eq!(blend(0x102030, 0xa0b0c0, 1.0), 0xa0b0c0);
    }

    #[test]
    fn languages_are_all_different() {
        for palette in [&DARK, &LIGHT] {
            let mut colours = palette.languages.to_vec();
            colours.sort_unstable();
            colours.dedup();
            assert_eq!(colours.len(), 20);
        }
    }
}
