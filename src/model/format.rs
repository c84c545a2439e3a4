//! Number formats of weights as files hold them, and widening them to f32.

use super::widen;
use crate::error::{Error, Result};
use candle_core::quantized::k_quants::{BlockQ2K, BlockQ3K, BlockQ5_1, GgmlType};
use half::{bf16, f16, slice::HalfFloatSliceExt};

/// A storage format: plain floats, or ggml's blocks of 32 or 256 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// ggml's type number, as a GGUF file states it.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// The field's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Numbers in one block.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Alignment that widening needs of the first byte.
    pub fn alignment(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// Bytes of `count` numbers; `None` if they do not fill whole blocks or the product overflows.
    pub fn bytes_for(self, count: usize) -> Option<usize> {
        let block = self.block_len();
        if !count.is_multiple_of(block) {
            return None;
        }
        (count / block).checked_mul(self.block_bytes())
    }

    /// Where the f16 scales lie in a block of a quantised format.
    fn scales(self) -> &'static [usize] {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => &[],
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => &[0],
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => &[0, 2],
            Self::Q2K => &[80, 82],
            Self::Q3K => &[108],
            Self::Q6K => &[208],
        }
    }

    /// Whether all numbers in `bytes` (whole blocks, aligned) are finite: quantised ones are where their scales are.
    pub fn finite(self, bytes: &[u8]) -> bool {
        // Without its sign a number that is not finite is at least as large as infinity. A largest value vectorises
        // where `all` would not.
        let f16_infinity = f16::INFINITY.to_bits();
        let largest = |xs: &[u16]| xs.iter().fold(0, |m, x| m.max(x & 0x7fff));
        match self {
            Self::F32 => {
                let largest = cast::<u32>(bytes).iter().fold(0, |m, x| m.max(x & 0x7fff_ffff));
                largest < f32::INFINITY.to_bits()
            }
            Self::F16 => largest(cast(bytes)) < f16_infinity,
            Self::Bf16 => largest(cast(bytes)) < bf16::INFINITY.to_bits(),
            _ => bytes.chunks_exact(self.block_bytes()).all(|block| {
                let scale = |at: &usize| u16::from_le_bytes([block[*at], block[*at + 1]]) & 0x7fff;
                self.scales().iter().all(|at| scale(at) < f16_infinity)
            }),
        }
    }

    /// Widens `out.len()` numbers from `bytes`, which hold exactly that many and are aligned.
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) {
        debug_assert_eq!(self.bytes_for(out.len()), Some(bytes.len()));
        match self {
            Self::F32 => out.copy_from_slice(cast::<f32>(bytes)),
            Self::F16 => cast::<f16>(bytes).convert_to_f32_slice(out),
            Self::Bf16 => {
                for (o, x) in out.iter_mut().zip(cast::<bf16>(bytes)) {
                    *o = f32::from_bits(u32::from(x.to_bits()) << 16);
                }
            }
            Self::Q4_0 => widen::q4_0(bytes, out),
            Self::Q4_1 => widen::q4_1(bytes, out),
            Self::Q5_0 => widen::q5_0(bytes, out),
            Self::Q5_1 => BlockQ5_1::to_float(cast(bytes), out),
            Self::Q8_0 => widen::q8_0(bytes, out),
            Self::Q2K => BlockQ2K::to_float(cast(bytes), out),
            Self::Q3K => BlockQ3K::to_float(cast(bytes), out),
            Self::Q4K => widen::q4_k(bytes, out),
            Self::Q5K => widen::q5_k(bytes, out),
            Self::Q6K => widen::q6_k(bytes, out),
        }
    }

    /// [`Format::widen`] into a new vector of `count` numbers.
    ///
    /// # Errors
    /// Where `bytes` is not exactly as long as `count` numbers take.
    pub fn widen_all(self, bytes: &[u8], count: usize) -> Result<Vec<f32>> {
        if self.bytes_for(count) != Some(bytes.len()) {
            return Err(Error::failed(format!(
                "{} bytes cannot hold {count} numbers of {}",
                bytes.len(),
                self.name()
            )));
        }
        let mut out = vec![0f32; count];
        if (bytes.as_ptr() as usize).is_multiple_of(self.alignment()) {
            self.widen(bytes, &mut out);
        } else {
            let mut aligned = vec![0f32; bytes.len().div_ceil(4)];
            let copy = bytes_of_mut(&mut aligned);
            copy[..bytes.len()].copy_from_slice(bytes);
            self.widen(&copy[..bytes.len()], &mut out);
        }
        Ok(out)
    }
}

/// The bytes of a slice of floats.
pub fn bytes_of(xs: &[f32]) -> &[u8] {
    // SAFETY: any f32 is four valid bytes and u8 has no alignment.
    unsafe { std::slice::from_raw_parts(xs.as_ptr().cast(), size_of_val(xs)) }
}

/// The bytes of a slice of floats, writable (every bit pattern is a valid f32).
pub fn bytes_of_mut(xs: &mut [f32]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are a valid f32.
    unsafe { std::slice::from_raw_parts_mut(xs.as_mut_ptr().cast(), size_of_val(xs)) }
}

/// The numbers of f32 weights' bytes, which are kept aligned.
pub fn floats_of(bytes: &[u8]) -> &[f32] {
    cast(bytes)
}

/// The bits of 16-bit weights' numbers, which are kept aligned.
pub fn halves_of(bytes: &[u8]) -> &[u16] {
    cast(bytes)
}

/// Bytes seen as whole elements of `T`.
fn cast<T>(bytes: &[u8]) -> &[T] {
    assert!(
        bytes.len().is_multiple_of(size_of::<T>())
            && (bytes.as_ptr() as usize).is_multiple_of(align_of::<T>())
    );
    // SAFETY: length and alignment are checked; every T used here is plain data valid for any bits.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::k_quants::{
        BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5K, BlockQ6K, BlockQ8_0,
    };

    #[test]
    fn block_sizes_are_those_of_the_block_types() {
        assert_eq!(Format::Q4_0.block_bytes(), size_of::<BlockQ4_0>());
        assert_eq!(Format::Q4_1.block_bytes(), size_of::<BlockQ4_1>());
        assert_eq!(Format::Q5_0.block_bytes(), size_of::<BlockQ5_0>());
        assert_eq!(Format::Q5_1.block_bytes(), size_of::<BlockQ5_1>());
        assert_eq!(Format::Q8_0.block_bytes(), size_of::<BlockQ8_0>());
        assert_eq!(Format::Q2K.block_bytes(), size_of::<BlockQ2K>());
        assert_eq!(Format::Q3K.block_bytes(), size_of::<BlockQ3K>());
        assert_eq!(Format::Q4K.block_bytes(), size_of::<BlockQ4K>());
        assert_eq!(Format::Q5K.block_bytes(), size_of::<BlockQ5K>());
        assert_eq!(Format::Q6K.block_bytes(), size_of::<BlockQ6K>());
    }

    /// Each scale of a block, made NaN and infinite, spoils the block's numbers and is found; nothing else is.
    #[test]
    fn finite_means_that_every_widened_number_is() {
        for format in Format::ALL {
            let len = format.block_len().max(8);
            let mut words = vec![0f32; format.bytes_for(len).unwrap().div_ceil(4)];
            let bytes = &mut bytes_of_mut(&mut words)[..format.bytes_for(len).unwrap()];
            // 0x3031 as a scale is about 0.13.
            bytes.iter_mut().enumerate().for_each(|(i, b)| *b = if i % 2 == 0 { 0x31 } else { 0x30 });
            for at in (0..bytes.len()).step_by(2) {
                for high in [0x7c, 0x7e, 0xfc, 0x7f, 0xff] {
                    let old = std::mem::replace(&mut bytes[at + 1], high);
                    let low = std::mem::replace(&mut bytes[at], 0x80);
                    let widened = format.widen_all(bytes, len).unwrap();
                    let all = widened.iter().all(|x| x.is_finite());
                    assert_eq!(format.finite(bytes), all, "{} at byte {at}: {high:x}80", format.name());
                    (bytes[at], bytes[at + 1]) = (low, old);
                }
            }
            assert!(format.finite(bytes), "{}", format.name());
        }
    }

    #[test]
    fn unaligned_and_short_input() {
        let xs = [1f32, -2.5, 3e-9];
        let mut shifted = vec![0u8];
        shifted.extend_from_slice(bytes_of(&xs));
        assert_eq!(Format::F32.widen_all(&shifted[1..], 3).unwrap(), xs);
        assert!(Format::F32.widen_all(&shifted[2..], 3).is_err());
        assert!(Format::Q4_0.widen_all(&[0; 18], 31).is_err());
    }
}
