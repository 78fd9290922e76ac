//! UUIDs in their usual form: 36 characters, in small letters.

/// Reads a UUID in its usual form, in lower case; nothing else gives the same text back.
pub(crate) fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != [b'-'; 4] {
        return None;
    }
    let mut uuid = [0; 16];
    let mut bad = 0;
    for (byte, at) in uuid.iter_mut().zip(UUID_DIGITS) {
        let (high, low) = (DIGITS[text[at] as usize], DIGITS[text[at + 1] as usize]);
        bad |= high | low;
        *byte = high << 4 | low;
    }
    (bad & NOT_A_DIGIT == 0).then_some(uuid)
}

/// Reads a UUID in its usual form, in letters of any case.
pub(crate) fn parse_uuid_of_any_case(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    parse_uuid(&text.to_ascii_lowercase())
}

/// The usual form of a UUID.
pub(crate) fn format_uuid(uuid: &[u8; 16]) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    for (byte, at) in uuid.iter().zip(UUID_DIGITS) {
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
    }
    text
}

/// Where the bytes of a UUID stand in its text.
const UUID_DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const NOT_A_DIGIT: u8 = 0x80;
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut table = [NOT_A_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        table[digit as usize] = value;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_case_uuid_is_taken_apart() {
        let text = "0123abcd-4567-89ef-0123-456789abcdef";
        let uuid = parse_uuid(text.as_bytes()).unwrap();
        assert_eq!(format_uuid(&uuid), text.as_bytes());
        for other in [
            "0123ABCD-4567-89ef-0123-456789abcdef",
            "0123abcd-4567-89ef-0123-456789abcdeg",
            "0123abcd04567-89ef-0123-456789abcdef",
            "0123abcd-4567-89ef-0123-456789abcde",
            "0123abcd456789ef0123456789abcdef",
        ] {
            assert_eq!(parse_uuid(other.as_bytes()), None, "{other}");
        }
    }
}
