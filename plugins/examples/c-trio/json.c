#include "json.h"

#include <stdlib.h>

#define DEEPEST 64

static bool digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

static void blanks(slice *rest) {
  while (rest->len && memchr(" \t\n\r", rest->at[0], 4)) rest->at++, rest->len--;
}

static bool take(slice *rest, char byte) {
  if (!rest->len || rest->at[0] != (uint8_t)byte) return false;
  rest->at++, rest->len--;
  return true;
}

static size_t digits(slice *rest) {
  size_t count = 0;
  for (; rest->len && digit(rest->at[0]); count++) rest->at++, rest->len--;
  return count;
}

static bool number(slice *rest) {
  take(rest, '-');
  if (!take(rest, '0') && !digits(rest)) return false;
  if (take(rest, '.') && !digits(rest)) return false;
  if (take(rest, 'e') || take(rest, 'E')) {
    if (!take(rest, '+')) take(rest, '-');
    return digits(rest) > 0;
  }
  return true;
}

// The bytes of one character in UTF-8 (RFC 3629); 0 for none.
static size_t character(slice rest) {
  static const struct {
    uint8_t mask, lead;
    uint32_t least;
  } forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
  for (size_t more = 0; more < 4; more++) {
    if ((rest.at[0] & forms[more].mask) != forms[more].lead) continue;
    if (rest.len <= more) return 0;
    uint32_t code = rest.at[0] & ~forms[more].mask;
    for (size_t i = 1; i <= more; i++) {
      if ((rest.at[i] & 0xc0) != 0x80) return 0;
      code = code << 6 | (rest.at[i] & 0x3f);
    }
    bool good = code >= forms[more].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return good ? more + 1 : 0;
  }
  return 0;
}

// Four hexadecimal digits; -1 for anything else.
static int32_t hex(slice rest) {
  if (rest.len < 4) return -1;
  int32_t code = 0;
  for (int i = 0; i < 4; i++) {
    uint8_t byte = rest.at[i], letter = byte | 0x20;
    if (!digit(byte) && (letter < 'a' || letter > 'f')) return -1;
    code = code << 4 | (digit(byte) ? byte - '0' : letter - 'a' + 10);
  }
  return code;
}

static bool string(slice *rest) {
  if (!take(rest, '"')) return false;
  while (rest->len) {
    if (take(rest, '"')) return true;
    size_t bytes = 1;
    if (take(rest, '\\')) {
      if (!rest->len || !memchr("\"\\/bfnrtu", rest->at[0], 9)) return false;
      if (rest->at[0] == 'u') {
        if (hex((slice){rest->at + 1, rest->len - 1}) < 0) return false;
        bytes = 5;
      }
    } else if (rest->at[0] < ' ' || !(bytes = character(*rest))) {
      return false;
    }
    rest->at += bytes, rest->len -= bytes;
  }
  return false;
}

static bool value(slice *rest, int depth);

static bool list(slice *rest, int depth, bool named) {
  char end = named ? '}' : ']';
  rest->at++, rest->len--;
  blanks(rest);
  if (take(rest, end)) return true;
  do {
    if (named) {
      blanks(rest);
      if (!string(rest)) return false;
      blanks(rest);
      if (!take(rest, ':')) return false;
    }
    if (!value(rest, depth + 1)) return false;
  } while (take(rest, ','));
  return take(rest, end);
}

// One, and the blanks around it.
static bool value(slice *rest, int depth) {
  static const char *const words[] = {"true", "false", "null"};
  blanks(rest);
  if (!rest->len || depth > DEEPEST) return false;
  bool good = false;
  uint8_t first = rest->at[0];
  if (first == '"') {
    good = string(rest);
  } else if (first == '{' || first == '[') {
    good = list(rest, depth, first == '{');
  } else if (first == '-' || digit(first)) {
    good = number(rest);
  } else {
    for (int i = 0; i < 3 && !good; i++) {
      if (!starts(*rest, text(words[i]))) continue;
      rest->at += strlen(words[i]), rest->len -= strlen(words[i]);
      good = true;
    }
  }
  blanks(rest);
  return good;
}

bool json(slice bytes, slice *found) {
  blanks(&bytes);
  slice rest = bytes;
  if (!value(&rest, 0) || rest.len) return false;
  while (memchr(" \t\n\r", bytes.at[bytes.len - 1], 4)) bytes.len--;
  *found = bytes;
  return true;
}

bool json_is(slice value, char first) { return value.len && value.at[0] == (uint8_t)first; }

// Takes a value off, with the blanks around it.
static slice next(slice *rest) {
  blanks(rest);
  slice found = *rest;
  value(rest, 0);
  found.len -= rest->len;
  while (found.len && memchr(" \t\n\r", found.at[found.len - 1], 4)) found.len--;
  return found;
}

bool json_member(slice object, const char *name, slice *found) {
  if (!json_is(object, '{')) return false;
  buffer key = {0};
  bool is = false;
  object.at++, object.len--;
  for (blanks(&object); !is && !json_is(object, '}'); take(&object, ',')) {
    key.len = 0;
    bool whole = json_string(next(&object), &key);
    take(&object, ':');
    *found = next(&object);
    is = whole && same((slice){key.at, key.len}, text(name));
  }
  free(key.at);
  return is;
}

bool json_item(slice *array, slice *item) {
  if (!take(array, '[')) take(array, ',');
  blanks(array);
  if (json_is(*array, ']')) return false;
  *item = next(array);
  return true;
}

static void append_character(buffer *to, uint32_t code) {
  uint8_t bytes[4];
  size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const uint8_t leads[] = {0, 0xc0, 0xe0, 0xf0};
  for (size_t i = more; i > 0; i--, code >>= 6) bytes[i] = 0x80 | (code & 0x3f);
  bytes[0] = leads[more] | code;
  append(to, (slice){bytes, more + 1});
}

bool json_string(slice value, buffer *to) {
  if (!json_is(value, '"')) return false;
  slice rest = {value.at + 1, value.len - 2};
  while (rest.len) {
    const uint8_t *escape = memchr(rest.at, '\\', rest.len);
    size_t plain = escape ? (size_t)(escape - rest.at) : rest.len;
    append(to, (slice){rest.at, plain});
    rest.at += plain, rest.len -= plain;
    if (!escape) break;
    uint8_t kind = rest.at[1];
    rest.at += 2, rest.len -= 2;
    if (kind != 'u') {
      static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
      const char *known = strchr(from, kind);
      append_character(to, known ? (uint8_t)into[known - from] : kind);
      continue;
    }
    int32_t code = hex(rest);
    rest.at += 4, rest.len -= 4;
    if (code >= 0xd800 && code <= 0xdfff) {
      bool pair = code < 0xdc00 && starts(rest, text("\\u"));
      int32_t low = pair ? hex((slice){rest.at + 2, rest.len - 2}) : -1;
      if (low < 0xdc00 || low > 0xdfff) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      rest.at += 6, rest.len -= 6;
    }
    append_character(to, (uint32_t)code);
  }
  return true;
}

bool json_number(slice value, double *found) {
  if (!json_is(value, '-') && !(value.len && digit(value.at[0]))) return false;
  buffer ended = {0};
  append(&ended, value);
  append(&ended, (slice){(const uint8_t *)"", 1});
  *found = strtod((char *)ended.at, NULL);
  free(ended.at);
  return true;
}

void json_append(buffer *to, slice words) {
  append_text(to, "\"");
  size_t from = 0;
  for (size_t i = 0; i <= words.len; i++) {
    uint8_t byte = i < words.len ? words.at[i] : 0;
    if (byte >= ' ' && byte != '"' && byte != '\\') continue;
    append(to, (slice){words.at + from, i - from});
    from = i + 1;
    if (i == words.len) break;
    static const char letters[] = "0123456789abcdef";
    char escape[] = {'\\', (char)byte, '0', '0', letters[byte >> 4], letters[byte & 15]};
    bool control = byte < ' ';
    if (control) escape[1] = 'u';
    append(to, (slice){(const uint8_t *)escape, control ? 6 : 2});
  }
  append_text(to, "\"");
}
