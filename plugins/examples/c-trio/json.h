// As much of JSON (RFC 8259) as is needed here. A value is a part of the text it is read from.
#ifndef JSON_H
#define JSON_H

#include "bytes.h"

// Is this one JSON value, in UTF-8? What it holds may be 64 deep. `value` is without blanks around it.
bool json(slice bytes, slice *value);

// These are for what json() has found good.

bool json_is(slice value, char first);
// False: it is no object, or has no such member. Of two the first.
bool json_member(slice object, const char *name, slice *value);
// The next item: begins with the array, whose text it shortens.
bool json_item(slice *array, slice *item);
// The text of a string. False: it is none, or has half a surrogate pair.
bool json_string(slice value, buffer *text);
// False: it is no number.
bool json_number(slice value, double *number);

void json_append(buffer *to, slice text);

#endif
