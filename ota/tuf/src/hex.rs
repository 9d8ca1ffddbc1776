//! Hexadecimal, as metadata writes digests, signatures and keys.

/// Lower-case hexadecimal.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Bytes of a text in hexadecimal of either case; `None` where it is none.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(value(*high)? << 4 | value(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hexadecimal_is_nothing() {
        assert_eq!(decode("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(decode(""), Some(vec![]));
        for text in ["0", "0g", "zz", "é", "+1", " 1"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(encode(&[0, 255, 160]), "00ffa0");
    }
}
