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
    ground: 0x12_15_1c,
    raised: 0x1c_21_2c,
    selection: 0x2a_31_45,
    text: 0xd5_d9_e2,
    dim: 0x8c_94_a6,
    faint: 0x4a_52_64,
    accent: 0xb7_9c_f2,
    key: 0xe3_c7_8a,
    base: 0xa9_b8_cc,
    aligned: 0x7f_d6_a4,
    gain: 0x7f_d6_a4,
    loss: 0xf0_7c_8a,
    entropy: 0xc3_a6_6b,
    good: 0x7f_d6_a4,
    warn: 0xe8_b8_5f,
    error: 0xf0_7c_8a,
    curves: [0x6c_b2_f5, 0xf5_9a_5f, 0x45_73_a6, 0xa6_68_42],
    heat: [0x16_1a_23, 0x22_34_5c, 0x22_5f_80, 0x2f_93_88, 0x86_c9_66, 0xf5_e2_7a],
    languages: [
        0x6c_b2_f5, 0xf0_7c_8a, 0xe8_b8_5f, 0x8a_9c_f5, 0xf5_9a_5f, 0x7f_d6_a4, 0xff_8f_c7, 0xe0_5f_5f,
        0x5f_d0_d6, 0xd6_d6_5f, 0x9f_d6_5f, 0xd6_8f_f0, 0x5f_a8_7f, 0x8f_b8_d6, 0xc7_9a_6b, 0xa8_a8_f0,
        0xf0_a8_3f, 0xb7_9c_f2, 0x3f_c7_a8, 0xd6_7f_a8,
    ],
};

/// For bright rooms and paper.
pub static LIGHT: Palette = Palette {
    ground: 0xfa_fa_f7,
    raised: 0xee_ee_ea,
    selection: 0xd9_df_f0,
    text: 0x24_28_33,
    dim: 0x60_67_76,
    faint: 0xb4_b9_c4,
    accent: 0x6a_48_c7,
    key: 0x8a_5a_00,
    base: 0x4a_5d_78,
    aligned: 0x0f_82_4e,
    gain: 0x0f_82_4e,
    loss: 0xb8_2a_40,
    entropy: 0x8a_66_1a,
    good: 0x0f_82_4e,
    warn: 0x9a_62_00,
    error: 0xb8_2a_40,
    curves: [0x16_6f_c4, 0xc9_57_10, 0x7f_ab_d6, 0xdd_a2_7d],
    heat: [0xf4_f4_f0, 0xcf_de_ee, 0x93_c0_dc, 0x4b_9b_b8, 0x22_6f_90, 0x14_3f_63],
    languages: [
        0x16_6f_c4, 0xb8_2a_40, 0x9a_62_00, 0x48_50_c0, 0xc9_57_10, 0x0f_82_4e, 0xc0_30_88, 0x96_1e_1e,
        0x0b_7d_86, 0x77_77_00, 0x4c_80_0c, 0x94_38_b8, 0x2b_66_44, 0x3c_6a_8c, 0x80_56_28, 0x5a_5a_b0,
        0xb0_66_00, 0x6a_48_c7, 0x00_80_66, 0x9c_3c_68,
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
