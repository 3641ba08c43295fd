// Bytes that belong to somebody else, and bytes that grow.
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const uint8_t *at;
  size_t len;
} slice;

typedef struct {
  uint8_t *at;
  size_t len, room;
} buffer;

#define SLICE(value) ((slice){(value).ptr, (value).len})

static inline slice text(const char *words) { return (slice){(const uint8_t *)words, strlen(words)}; }

static inline bool same(slice a, slice b) { return a.len == b.len && memcmp(a.at, b.at, a.len) == 0; }

static inline bool starts(slice whole, slice start) {
  return whole.len >= start.len && memcmp(whole.at, start.at, start.len) == 0;
}

// Traps where there is no more memory: the call has failed then.
void append(buffer *to, slice more);

void append_number(buffer *to, unsigned number);

static inline void append_text(buffer *to, const char *words) { append(to, text(words)); }

#endif
