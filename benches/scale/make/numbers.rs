//! Random weights, written in a file's own format with a standard deviation of 0.02.

use half::f16;
use rayon::prelude::*;

/// A storage format, with its GGUF number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    F32,
    Bf16,
    Q4_0,
    Q4K,
    Q6K,
}

const STD: f32 = 0.02;

impl Coding {
    /// Numbers and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4K => (256, 144),
            Self::Q6K => (256, 210),
        }
    }

    /// GGUF's number for it.
    pub fn ggml(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Bf16 => 30,
            Self::Q4_0 => 2,
            Self::Q4K => 12,
            Self::Q6K => 14,
        }
    }

    /// The bytes of `count` numbers (whole blocks).
    pub fn bytes(self, count: usize) -> usize {
        let (numbers, bytes) = self.block();
        assert!(count.is_multiple_of(numbers), "{count} numbers are no whole blocks of {numbers}");
        count / numbers * bytes
    }

    /// Fills `out`, a piece of a tensor made of whole blocks; `seed` must differ from piece to piece.
    pub fn fill(self, out: &mut [u8], seed: u64) {
        let (_, bytes) = self.block();
        out.par_chunks_mut(bytes << 12).enumerate().for_each(|(i, part)| {
            let mut random = Random::new(seed ^ (i as u64) << 40);
            for block in part.chunks_exact_mut(bytes) {
                self.fill_block(block, &mut random);
            }
        });
    }

    fn fill_block(self, block: &mut [u8], random: &mut Random) {
        let scale = |x: f32| f16::from_f32(x).to_le_bytes();
        match self {
            Self::F32 => block.copy_from_slice(&random.normal().to_le_bytes()),
            Self::Bf16 => {
                let rounded = (random.normal().to_bits() + 0x8000) >> 16;
                block.copy_from_slice(&(rounded as u16).to_le_bytes());
            }
            // d (q - 8); q uniform in 0..16 deviates by 4.61.
            Self::Q4_0 => {
                block[..2].copy_from_slice(&scale(STD / 4.61));
                random.bytes(&mut block[2..]);
            }
            // d s q - m s' with s = s' = 33 in all eight parts: in their packed form 33 is 0x21, with high bits in the
            // first eight bytes. m / d = 7.5 makes the mean zero.
            Self::Q4K => {
                let d = STD / (4.61 * 33.0);
                block[..2].copy_from_slice(&scale(d));
                block[2..4].copy_from_slice(&scale(7.5 * d));
                block[4..12].fill(0b10_100001);
                block[12..16].fill(0x11);
                random.bytes(&mut block[16..]);
            }
            // d s (q - 32); q uniform in 0..64 deviates by 18.5.
            Self::Q6K => {
                random.bytes(&mut block[..192]);
                block[192..208].fill(64);
                block[208..].copy_from_slice(&scale(STD / (18.5 * 64.0)));
            }
        }
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Four uniform numbers' sum: near enough to normal, and quick enough for billions.
    fn normal(&mut self) -> f32 {
        let x = self.next();
        let sum = (0..4).map(|i| (x >> (16 * i)) & 0xffff).sum::<u64>();
        // The sum's mean, and sqrt(4 / 12) * 65536.
        (sum as f32 - 131_070.0) * (STD / 37_837.0)
    }

    fn bytes(&mut self, out: &mut [u8]) {
        for part in out.chunks_mut(8) {
            let x = self.next().to_le_bytes();
            part.copy_from_slice(&x[..part.len()]);
        }
    }
}
