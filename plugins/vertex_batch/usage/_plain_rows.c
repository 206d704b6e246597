/* The short way for plain rows, compiled. `plain.py` has the rules, and is used where this was not built.

   A row is added up only if every byte of it was understood, as JSON and as a plain row. All else is left to the
   caller, line by line: an escaped key, a field twice, a number that is not a count, nesting beyond a limit, anything that
   is not JSON. So this file need not know what an odd row means; it must only never take one for plain.

   Every read is bounded by the end of the block. A newline is white space to JSON, but never here: since a row is
   one line, it ends what is being read, wherever it is. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && defined(__GNUC__) && !defined(NO_SIMD)
#include <emmintrin.h>
#define HAS_SSE2 1
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))
#else
#define INLINE static inline
#define APART static
#endif

enum { MAX_DEPTH = 100, MAX_NAME = 200, MAX_DIGITS = 10 };
#define MAX_COUNT INT32_MAX /* the API's counters are int32, as in counting.py */

typedef unsigned char byte;

typedef struct {
    const byte *start;
    size_t size;
    bool has_escapes;
} Text;

typedef struct {
    uint32_t prompt, output, thoughts, total, cached;
    int64_t prompt_detail, output_detail, cached_detail; /* -1: no details */
} Usage;

typedef struct {
    Usage usage;
    Text model; /* start is NULL: none is stated */
} Row;

/* --- JSON ---

   What takes something from `at` returns the place behind it, or NULL if it is not there. Places are handed on by value:
   a cursor in memory would make each step wait for the one before it. */

INLINE bool starts(const byte *at, const byte *end, byte wanted)
{
    return at < end && *at == wanted;
}

INLINE const byte *take(const byte *at, const byte *end, byte wanted)
{
    return starts(at, end, wanted) ? at + 1 : NULL;
}

INLINE const byte *skip_space(const byte *at, const byte *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

INLINE const byte *take_word(const byte *at, const byte *end, const char *word, size_t size)
{
    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

#define TAKE(at, end, word) take_word(at, end, word, sizeof(word) - 1)

/* The first byte that does not simply stand for itself in a string; the end if there is none. */
INLINE const byte *find_special(const byte *at, const byte *end)
{
#ifdef HAS_SSE2
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last_control = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        const __m128i here = _mm_loadu_si128((const __m128i *)at);
        const __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(here, last_control), here);
        const __m128i is_mark = _mm_or_si128(_mm_cmpeq_epi8(here, quote), _mm_cmpeq_epi8(here, backslash));
        const unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(is_control, is_mark));
        if (found)
            return at + __builtin_ctz(found);
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && *at > 0x1f)
        at++;
    return at;
}

static int hex_value(byte digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Read `\uXXXX`; the code unit, or -1. */
static int code_unit(const byte *at, const byte *end)
{
    int unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int place = 2; place < 6; place++) {
        const int digit = hex_value(at[place]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

APART const byte *take_code_point(const byte *at, const byte *end)
{
    const int unit = code_unit(at, end);
    if (unit < 0)
        return NULL;
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    const int second = code_unit(at + 6, end); /* of a pair; the second half cannot come first */
    return unit <= 0xdbff && second >= 0xdc00 && second <= 0xdfff ? at + 12 : NULL;
}

/* What may follow a backslash, but for `u`. A table, since which one follows cannot be predicted. */
static const bool IS_ESCAPED[256] = {
    ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true, ['f'] = true, ['n'] = true, ['r'] = true, ['t'] = true,
};

INLINE const byte *take_escape(const byte *at, const byte *end)
{
    if (end - at >= 2 && IS_ESCAPED[at[1]])
        return at + 2;
    return take_code_point(at, end);
}

/* The closing quote of a string, from an escape or the quote itself on. */
APART const byte *find_quote_stepwise(const byte *at, const byte *end)
{
    for (;;) {
        if (at == end || *at != '\\')
            return starts(at, end, '"') ? at : NULL;
        at = take_escape(at, end);
        if (!at)
            return NULL;
        at = find_special(at, end);
    }
}

#ifdef HAS_SSE2
/* Which of 64 bytes are what, a bit for each. */
typedef struct {
    uint64_t quotes, backslashes, controls;
} Marks;

INLINE Marks marks_of(const byte *at)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last_control = _mm_set1_epi8(0x1f);
    Marks marks = {0};
    for (int part = 0; part < 4; part++) {
        const __m128i here = _mm_loadu_si128((const __m128i *)(at + 16 * part));
        const __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(here, last_control), here);
        marks.quotes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(here, quote)) << (16 * part);
        marks.backslashes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(here, backslash)) << (16 * part);
        marks.controls |= (uint64_t)(unsigned)_mm_movemask_epi8(is_control) << (16 * part);
    }
    return marks;
}

/* Which bytes a backslash escapes: those behind an odd number of them. As simdjson does it (json_escape_scanner.h): a
   subtraction carries through each run of backslashes. `is_next` says so of the byte behind the 64. */
INLINE uint64_t escaped_of(uint64_t backslashes, uint64_t *is_next)
{
    const uint64_t odd = 0xaaaaaaaaaaaaaaaaULL, is_first = *is_next;
    const uint64_t potential = backslashes & ~is_first;
    const uint64_t codes = (((potential << 1) | odd) - potential) ^ odd;
    *is_next = (codes & backslashes) >> 63;
    return codes ^ (backslashes | is_first);
}
#endif

/* The same, 64 bytes at a time: texts are full of escapes, and to branch at each costs more than to look at them all. */
APART const byte *find_quote(const byte *at, const byte *end)
{
#ifdef HAS_SSE2
    uint64_t is_escaped = 0;
    for (; end - at >= 64; at += 64) {
        const Marks marks = marks_of(at);
        const uint64_t escaped = escaped_of(marks.backslashes, &is_escaped);
        const uint64_t quotes = marks.quotes & ~escaped;
        const uint64_t inside = (quotes & (0 - quotes)) - 1; /* before the first of them */
        if (marks.controls & inside)
            return NULL;
        for (uint64_t left = escaped & inside; left; left &= left - 1) {
            const byte *letter = at + __builtin_ctzll(left);
            if (!IS_ESCAPED[*letter]) {
                const int unit = code_unit(letter - 1, end);
                if (unit < 0)
                    return NULL;
                if (unit >= 0xd800 && unit <= 0xdfff) /* pairs are rare, and not looked at as one here */
                    return find_quote_stepwise(letter - 1, end);
            }
        }
        if (quotes)
            return at + __builtin_ctzll(quotes);
    }
    at -= is_escaped; /* its backslash was the last of the 64 */
    if (!is_escaped)
        at = find_special(at, end);
#endif
    return find_quote_stepwise(at, end);
}

/* Take a string, and give what is between its quotes, escapes included. */
INLINE const byte *take_string(const byte *at, const byte *end, Text *text)
{
    at = take(at, end, '"');
    if (!at)
        return NULL;
    text->start = at;
    at = find_special(at, end);
    text->has_escapes = !starts(at, end, '"');
    if (text->has_escapes && !(at = find_quote(at, end)))
        return NULL;
    text->size = (size_t)(at - text->start);
    return at + 1;
}

INLINE const byte *skip_digits(const byte *at, const byte *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

INLINE const byte *take_digits(const byte *at, const byte *end)
{
    const byte *behind = skip_digits(at, end);
    return behind > at ? behind : NULL;
}

static const byte *take_number(const byte *at, const byte *end)
{
    at += starts(at, end, '-');
    at = starts(at, end, '0') ? at + 1 : take_digits(at, end);
    if (at && starts(at, end, '.'))
        at = take_digits(at + 1, end);
    if (at && (starts(at, end, 'e') || starts(at, end, 'E'))) {
        at++;
        at += starts(at, end, '+') || starts(at, end, '-');
        at = take_digits(at, end);
    }
    return at;
}

/* Go to the next element of an array (or member of an object), or behind `closing`, with which it is over. */
INLINE const byte *next_element(const byte *at, const byte *end, bool is_first, byte closing, bool *is_over)
{
    at = skip_space(at, end);
    *is_over = starts(at, end, closing);
    if (*is_over)
        return at + 1;
    if (is_first)
        return at;
    at = take(at, end, ',');
    if (!at)
        return NULL;
    at = skip_space(at, end);
    return starts(at, end, closing) ? NULL : at;
}

/* Go to the value of the next member of an object, or behind the object. */
INLINE const byte *next_member(const byte *at, const byte *end, bool is_first, Text *key, bool *is_over)
{
    at = next_element(at, end, is_first, '}', is_over);
    if (!at || *is_over)
        return at;
    at = take_string(at, end, key);
    if (!at)
        return NULL;
    at = take(skip_space(at, end), end, ':');
    return at ? skip_space(at, end) : NULL;
}

static const byte *skip_value(const byte *at, const byte *end, int depth)
{
    Text text;
    if (at == end || depth > MAX_DEPTH)
        return NULL;
    switch (*at) {
    case '"':
        return take_string(at, end, &text);
    case '{':
        at++;
        for (bool first = true, over; (at = next_member(at, end, first, &text, &over)) && !over; first = false)
            if (!(at = skip_value(at, end, depth + 1)))
                return NULL;
        return at;
    case '[':
        at++;
        for (bool first = true, over; (at = next_element(at, end, first, ']', &over)) && !over; first = false)
            if (!(at = skip_value(at, end, depth + 1)))
                return NULL;
        return at;
    case 't':
        return TAKE(at, end, "true");
    case 'f':
        return TAKE(at, end, "false");
    case 'n':
        return TAKE(at, end, "null");
    default:
        return take_number(at, end);
    }
}

/* --- What a plain row holds --- */

#define IS(text, wanted) ((text).size == sizeof(wanted) - 1 && memcmp((text).start, wanted, sizeof(wanted) - 1) == 0)

/* Go to the next member of an object whose keys matter: one with an escape could be any. */
INLINE const byte *next_field(const byte *at, const byte *end, bool is_first, Text *key, bool *is_over)
{
    at = next_member(at, end, is_first, key, is_over);
    return at && !*is_over && key->has_escapes ? NULL : at;
}

/* Note that a field is there; false if it was already. */
INLINE bool mark(unsigned *seen, unsigned field)
{
    const bool is_new = !(*seen & field);
    *seen |= field;
    return is_new;
}

INLINE const byte *read_count(const byte *at, const byte *end, uint32_t *count)
{
    const byte *behind = skip_digits(at, end);
    uint64_t value = 0;
    if (behind == at || behind - at > MAX_DIGITS || (*at == '0' && behind - at > 1))
        return NULL;
    for (; at < behind; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (value > MAX_COUNT || starts(at, end, '.') || starts(at, end, 'e') || starts(at, end, 'E'))
        return NULL;
    *count = (uint32_t)value;
    return behind;
}

/* `null`, or the details of one modality, which is text. */
static const byte *read_details(const byte *at, const byte *end, int64_t *detail)
{
    Text key, modality;
    bool is_over;
    uint32_t count = 0;
    unsigned seen = 0;
    if (starts(at, end, 'n'))
        return TAKE(at, end, "null");
    if (!(at = take(at, end, '[')) || !(at = next_element(at, end, true, ']', &is_over)) || is_over)
        return NULL;
    if (!(at = take(at, end, '{')))
        return NULL;
    for (bool first = true, over; (at = next_field(at, end, first, &key, &over)) && !over; first = false) {
        if (IS(key, "modality"))
            at = mark(&seen, 1) && (at = take_string(at, end, &modality)) && IS(modality, "TEXT") ? at : NULL;
        else
            at = IS(key, "tokenCount") && mark(&seen, 2) ? read_count(at, end, &count) : NULL;
        if (!at)
            return NULL;
    }
    if (!at || seen != 3 || !(at = next_element(at, end, false, ']', &is_over)) || !is_over)
        return NULL;
    *detail = count;
    return at;
}

static const byte *read_usage(const byte *at, const byte *end, Usage *usage)
{
    Text key;
    unsigned seen = 0;
    if (!(at = take(at, end, '{')))
        return NULL;
    for (bool first = true, over; (at = next_field(at, end, first, &key, &over)) && !over; first = false) {
        if (IS(key, "promptTokenCount"))
            at = mark(&seen, 1) ? read_count(at, end, &usage->prompt) : NULL;
        else if (IS(key, "candidatesTokenCount"))
            at = mark(&seen, 2) ? read_count(at, end, &usage->output) : NULL;
        else if (IS(key, "thoughtsTokenCount"))
            at = mark(&seen, 4) ? read_count(at, end, &usage->thoughts) : NULL;
        else if (IS(key, "totalTokenCount"))
            at = mark(&seen, 8) ? read_count(at, end, &usage->total) : NULL;
        else if (IS(key, "cachedContentTokenCount"))
            at = mark(&seen, 16) ? read_count(at, end, &usage->cached) : NULL;
        else if (IS(key, "promptTokensDetails"))
            at = mark(&seen, 32) ? read_details(at, end, &usage->prompt_detail) : NULL;
        else if (IS(key, "candidatesTokensDetails"))
            at = mark(&seen, 64) ? read_details(at, end, &usage->output_detail) : NULL;
        else if (IS(key, "cacheTokensDetails"))
            at = mark(&seen, 128) ? read_details(at, end, &usage->cached_detail) : NULL;
        else if (IS(key, "trafficType") || IS(key, "billablePromptUsage") || IS(key, "billableCachedContentUsage") ||
                 IS(key, "toolCallStats"))
            at = skip_value(at, end, 0);
        else
            return NULL; /* what is new here may be money */
        if (!at)
            return NULL;
    }
    return at;
}

static bool fits(int64_t detail, uint32_t count)
{
    return detail < 0 || detail == (int64_t)count;
}

static bool adds_up(const Usage *usage)
{
    const uint64_t stated = (uint64_t)usage->prompt + usage->output + usage->thoughts;
    return stated == usage->total && stated > 0 && usage->cached <= usage->prompt &&
           fits(usage->prompt_detail, usage->prompt) && fits(usage->output_detail, usage->output) &&
           fits(usage->cached_detail, usage->cached);
}

/* One candidate, which has searched nothing. */
static const byte *read_candidate(const byte *at, const byte *end)
{
    Text key;
    if (!(at = take(at, end, '{')))
        return NULL;
    for (bool first = true, over; (at = next_field(at, end, first, &key, &over)) && !over; first = false) {
        if (IS(key, "groundingMetadata") || IS(key, "grounding_metadata"))
            at = TAKE(at, end, "null");
        else
            at = skip_value(at, end, 0);
        if (!at)
            return NULL;
    }
    return at;
}

static const byte *read_candidates(const byte *at, const byte *end)
{
    if (starts(at, end, 'n'))
        return TAKE(at, end, "null");
    if (!(at = take(at, end, '[')))
        return NULL;
    for (bool first = true, over; (at = next_element(at, end, first, ']', &over)) && !over; first = false)
        if (!(at = read_candidate(at, end)))
            return NULL;
    return at;
}

/* `null`, or a name in plain ASCII. */
static const byte *read_name(const byte *at, const byte *end, Text *name)
{
    if (starts(at, end, 'n'))
        return TAKE(at, end, "null");
    if (!(at = take_string(at, end, name)) || name->size > MAX_NAME || name->has_escapes)
        return NULL;
    for (size_t place = 0; place < name->size; place++)
        if (name->start[place] > 0x7e)
            return NULL;
    return at;
}

static const byte *read_response(const byte *at, const byte *end, Row *row)
{
    Text key, id;
    unsigned seen = 0;
    if (!(at = take(at, end, '{')))
        return NULL;
    for (bool first = true, over; (at = next_field(at, end, first, &key, &over)) && !over; first = false) {
        if (IS(key, "usageMetadata"))
            at = mark(&seen, 1) ? read_usage(at, end, &row->usage) : NULL;
        else if (IS(key, "modelVersion"))
            at = mark(&seen, 2) ? read_name(at, end, &row->model) : NULL;
        else if (IS(key, "responseId"))
            at = read_name(at, end, &id);
        else if (IS(key, "candidates"))
            at = mark(&seen, 4) ? read_candidates(at, end) : NULL;
        else if (IS(key, "usage_metadata") || IS(key, "model_version") || IS(key, "response_id") ||
                 IS(key, "tokenCount") || IS(key, "token_count") || IS(key, "status_code") || IS(key, "error"))
            at = TAKE(at, end, "null"); /* of another shape, or of a failed row */
        else
            at = skip_value(at, end, 0);
        if (!at)
            return NULL;
    }
    return seen & 1 ? at : NULL;
}

/* Read one line, its newline included. */
static const byte *read_row(const byte *at, const byte *end, Row *row)
{
    Text key, status;
    unsigned seen = 0;
    *row = (Row){.usage = {.prompt_detail = -1, .output_detail = -1, .cached_detail = -1}};
    if (!(at = take(skip_space(at, end), end, '{')))
        return NULL;
    for (bool first = true, over; (at = next_field(at, end, first, &key, &over)) && !over; first = false) {
        if (IS(key, "response"))
            at = mark(&seen, 1) ? read_response(at, end, row) : NULL;
        else if (IS(key, "error"))
            at = TAKE(at, end, "null");
        else if (IS(key, "status") && !starts(at, end, 'n'))
            at = (at = take_string(at, end, &status)) && status.size == 0 ? at : NULL;
        else if (IS(key, "status"))
            at = TAKE(at, end, "null");
        else
            at = skip_value(at, end, 0);
        if (!at)
            return NULL;
    }
    if (!at || !(seen & 1) || !adds_up(&row->usage))
        return NULL;
    at = skip_space(at, end);
    return at == end ? at : take(at, end, '\n');
}

/* --- Sums --- */

/* Consecutive plain rows of one model. */
typedef struct {
    Text model;
    uint64_t rows, prompt, cached, output, thoughts;
} Run;

static bool is_of_run(const Run *run, const Text *model)
{
    if (run->model.start == NULL || model->start == NULL)
        return run->model.start == model->start;
    return run->model.size == model->size && memcmp(run->model.start, model->start, model->size) == 0;
}

static void add_to_run(Run *run, const Usage *usage)
{
    run->rows++;
    run->prompt += usage->prompt;
    run->cached += usage->cached;
    run->output += usage->output;
    run->thoughts += usage->thoughts;
}

/* Append to a list, and give up the reference; `item` may be NULL. */
static bool append(PyObject *list, PyObject *item)
{
    const bool is_done = item != NULL && PyList_Append(list, item) == 0;
    Py_XDECREF(item);
    return is_done;
}

static bool append_run(PyObject *runs, const Run *run)
{
    if (!run->rows)
        return true;
    return append(runs, Py_BuildValue("(z#KKKK)", (const char *)run->model.start, (Py_ssize_t)run->model.size,
                                      (unsigned long long)run->prompt, (unsigned long long)run->cached,
                                      (unsigned long long)run->output, (unsigned long long)run->thoughts));
}

static bool add_lines(const byte *start, const byte *end, uint32_t most, PyObject *runs, PyObject *left, Py_ssize_t *lines)
{
    Run run = {0};
    Row row;
    for (const byte *line = start; line < end; ++*lines) {
        const byte *next = read_row(line, end, &row);
        if (next && row.usage.prompt <= most) {
            if (!is_of_run(&run, &row.model)) {
                if (!append_run(runs, &run))
                    return false;
                run = (Run){.model = row.model};
            }
            add_to_run(&run, &row.usage);
        } else {
            const byte *newline = memchr(line, '\n', (size_t)(end - line));
            next = newline ? newline + 1 : end;
            if (!append(left, Py_BuildValue("(nnn)", *lines, (Py_ssize_t)(line - start), (Py_ssize_t)(next - start))))
                return false;
        }
        line = next;
    }
    return append_run(runs, &run);
}

PyDoc_STRVAR(add_up_doc,
"add_up(block, most_prompt_tokens, /)\n--\n\n"
"Add up the plain rows of a block of whole lines.\n\n"
"Returns how many lines there are; a tuple (model or None, prompt, cached, output, thoughts) for each run of rows of one\n"
"model; and a tuple (place, start, end) for each line that was left: rows that are not plain or have a larger prompt.");

static PyObject *add_up(PyObject *module, PyObject *args)
{
    Py_buffer block;
    unsigned int most;
    Py_ssize_t lines = 0;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*I", &block, &most))
        return NULL;
    PyObject *runs = PyList_New(0), *left = PyList_New(0);
    const byte *start = block.buf;
    if (runs && left && (!block.len || add_lines(start, start + block.len, most, runs, left, &lines)))
        result = Py_BuildValue("(nOO)", lines, runs, left);
    Py_XDECREF(runs);
    Py_XDECREF(left);
    PyBuffer_Release(&block);
    return result;
}

static PyMethodDef methods[] = {{"add_up", add_up, METH_VARARGS, add_up_doc}, {0}};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_plain_rows",
    .m_doc = "The short way for plain rows, compiled.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__plain_rows(void)
{
    return PyModuleDef_Init(&module);
}
