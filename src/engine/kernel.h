/* kernel.h - loading an element, applying a pass, storing what it changed.
 *
 * run_one() is a template in the C sense: it is always inlined, and fn, domain,
 * reads and writes are constants wherever it is used, so that each load, store
 * and add below is kept or deleted at compile time. Names end in an underscore
 * or are parameters, so that slots can have any name.
 *
 * Sums have fixed bits. A sum is kept as EDEN_LANES partial sums in double, the
 * element in column c adding to lane c % EDEN_LANES, and the lanes are folded in
 * halves. Vector width changes who adds, never the order.
 */

/* Where a slot's value is for the element in row r_ and column c_ of a few rows,
 * the i_-th in memory, of matrix m_. */
#define INDEX_(shape) index_of(EDEN_##shape, domain, i_, m_, r_, c_)

EDEN_INLINE size_t index_of(eden_shape shape, eden_shape domain, size_t i, size_t m, size_t r, size_t c)
{
    if (shape == domain) return i;
    if (shape == EDEN_EACH) return m;
    if (domain != EDEN_FULL) return 0;
    return shape == EDEN_ROW ? r : shape == EDEN_COL ? c : 0;
}

/* A sum over elements goes to lanes, a row's to its own; a sum with a value for
 * each of them does not, nor any of a small matrix. */
#define SUM_INDEX_(shape)                                                     \
    (small_ || EDEN_##shape == domain || (domain == EDEN_FULL && EDEN_##shape == EDEN_COL) \
         ? INDEX_(shape)                                                      \
         : (EDEN_##shape == EDEN_ROW ? r_ * EDEN_LANES : 0) + l_)

#define VALUE_ARG_(name, shape, when, doc) , real *restrict name
#define TOTAL_ARG_(name, shape, when, doc) , double *restrict name
#define KERNEL_ARGS EACH_SLOT(VALUE_ARG_, VALUE_ARG_, VALUE_ARG_, VALUE_ARG_, TOTAL_ARG_)

#define NAME_(name, shape, when, doc) , name
#define KERNEL_NAMES EACH_SLOT(NAME_, NAME_, NAME_, NAME_, NAME_)

#define VALUE_AT_(name, shape, when, doc) , (real *)at_[SLOT_##name]
#define TOTAL_AT_(name, shape, when, doc) , (double *)at_[SLOT_##name]
#define KERNEL_AT EACH_SLOT(VALUE_AT_, VALUE_AT_, VALUE_AT_, VALUE_AT_, TOTAL_AT_)

#define LOAD_VALUE_(name, shape, when, doc) \
    e_.name = reads & SLOTS1(name) ? name[INDEX_(shape)] : 0;
#define LOAD_PARAM_(name, shape, when, doc) \
    e_.name = reads & SLOTS1(name) ? types == ALL_16 ? load_16(name, i_) : name[i_] : 0;
#define LOAD_GRAD_(name, shape, when, doc)                                               \
    e_.name = reads & SLOTS1(name)                                                       \
                  ? scaled(types != ALL_F32 ? load_16(name, i_) : name[i_], scaling, scale_) \
                  : 0;
#define LOAD_STATE_(name, shape, when, doc)                                 \
    e_.name = reads & SLOTS1(name) ? types >= GRAD_STATE_16 && EDEN_##shape == EDEN_FULL \
                                         ? load_16(name, i_)                \
                                         : name[INDEX_(shape)]              \
                                   : 0;
#define LOAD_SUM_(name, shape, when, doc) \
    e_.name = reads & SLOTS1(name) ? name[INDEX_(shape)] : 0;

#define STORE_VALUE_(name, shape, when, doc) \
    if (writes & SLOTS1(name)) name[i_] = e_.name;
#define STORE_AS_(name, narrow)                                 \
    if (writes & SLOTS1(name)) {                                \
        if (narrow)                                             \
            ((uint16_t *)(void *)name)[i_] = to_bf16(e_.name);  \
        else                                                    \
            name[i_] = e_.name;                                 \
    }
#define STORE_PARAM_(name, shape, when, doc) STORE_AS_(name, types == ALL_16)
#define STORE_STATE_(name, shape, when, doc) \
    STORE_AS_(name, types >= GRAD_STATE_16 && EDEN_##shape == EDEN_FULL)
#define STORE_NONE_(name, shape, when, doc)
#define STORE_SUM_(name, shape, when, doc) \
    if (writes & SLOTS1(name)) name[SUM_INDEX_(shape)] += e_.name;

#define NO_BIT_(name, shape, when, doc)
#define FULL_BIT_(name, shape, when, doc) | (EDEN_##shape == EDEN_FULL ? SLOTS1(name) : 0)
#define STATES (0 EACH_SLOT(NO_BIT_, NO_BIT_, FULL_BIT_, NO_BIT_, NO_BIT_))

/* What a gradient still needs as it is loaded. Every loop is compiled for each,
 * because a clamp that does nothing costs half the speed of a light rule. */
typedef enum { AS_IT_IS, TIMES, CLAMPED_TIMES } scaling_kind;

EDEN_INLINE scaling_kind scaling_of(const eden_grad_scale *s)
{
    if (s->limit != __builtin_inff()) return CLAMPED_TIMES;
    return s->pre == 1 && s->post == 1 ? AS_IT_IS : TIMES;
}

/* The loop that a pass needs: a plain gradient of 16 bits alone has none of its own. */
EDEN_INLINE unsigned loop_for(eden_types types, unsigned reads, unsigned writes,
                              const eden_grad_scale *scale)
{
    const int takes_grad = (reads & SLOTS1(g)) != 0;
    if (!takes_grad && types == GRAD_16) types = ALL_F32;
    if (types == ALL_16 && !((reads | writes) & SLOTS1(p))) types = GRAD_STATE_16;
    if (types == GRAD_STATE_16 && !((reads | writes) & (SLOTS1(g) | STATES))) types = ALL_F32;
    if (!takes_grad) return types * 4 + AS_IT_IS;
    const scaling_kind scaling = scaling_of(scale);
    return types * 4 + (types == GRAD_16 && scaling == AS_IT_IS ? TIMES : scaling);
}

EDEN_INLINE real scaled(real g, scaling_kind scaling, eden_grad_scale s)
{
    if (scaling == AS_IT_IS) return g;
    const real x = g * s.pre;
    if (scaling == TIMES) return x * s.post;
    return (x > s.limit ? s.limit : x < -s.limit ? -s.limit : x) * s.post;
}

EDEN_INLINE real load_16(const real *at, size_t i)
{
    return from_bf16(((const uint16_t *)(const void *)at)[i]);
}

EDEN_INLINE void run_one(elem (*fn)(elem, consts), eden_shape domain, unsigned reads,
                         unsigned writes, eden_types types, scaling_kind scaling, const consts k_,
                         const eden_grad_scale scale_, int small_, size_t i_, size_t m_, size_t r_,
                         size_t c_, size_t l_ KERNEL_ARGS)
{
    elem e_;
    (void)small_, (void)m_, (void)r_, (void)c_, (void)l_, (void)types, (void)scaling, (void)scale_;
    EACH_SLOT(LOAD_PARAM_, LOAD_GRAD_, LOAD_STATE_, LOAD_VALUE_, LOAD_SUM_)
    e_ = fn(e_, k_);
    EACH_SLOT(STORE_PARAM_, STORE_NONE_, STORE_STATE_, STORE_VALUE_, STORE_SUM_)
}

/* ---- pairs --------------------------------------------------------------------- */

/* A pass over nothing but numbers of 16 bits takes two neighbours as one word: both
 * halves are where they are needed after a shift or a mask, while single numbers had to
 * be moved across the halves of a register. Which half is the first is all the same. */
typedef uint32_t pair __attribute__((aligned(2), may_alias));

/* Does every slot of these have 16 bits an element? */
EDEN_INLINE int in_pairs(eden_types types, unsigned touched)
{
    return types == ALL_16 && !(touched & ~(SLOTS1(p) | SLOTS1(g) | STATES));
}

EDEN_INLINE uint32_t upper(uint32_t w) { return w & 0xffff0000u; }

/* In its upper half, f as to_bf16() rounds it. A NaN out of numbers of 16 bits ends in
 * zeros, so that rounding leaves it alone; a scale could have brought others. */
EDEN_INLINE uint32_t rounded(real f, scaling_kind scaling)
{
    const uint32_t u = bits_of(f), up = 0x7fffu + (u >> 16 & 1);
    return u + (scaling == AS_IT_IS ? up : pick(f == f, up, 0));
}

#define PAIR_(name) (((pair *)(void *)((uint16_t *)(void *)name + at_))[i_])
#define LOAD_PAIR_(name, shape, when, doc)                                       \
    low_.name = reads & SLOTS1(name) ? real_of(PAIR_(name) << 16) : 0;           \
    high_.name = reads & SLOTS1(name) ? real_of(upper(PAIR_(name))) : 0;
#define LOAD_GRAD_PAIR_(name, shape, when, doc)                                  \
    LOAD_PAIR_(name, shape, when, doc)                                           \
    if (reads & SLOTS1(name)) {                                                  \
        low_.name = scaled(low_.name, scaling, scale_);                          \
        high_.name = scaled(high_.name, scaling, scale_);                        \
    }
#define LOAD_ZERO_(name, shape, when, doc) (void)name, low_.name = high_.name = 0;
#define STORE_PAIR_(name, shape, when, doc)                                      \
    if (writes & SLOTS1(name))                                                   \
        PAIR_(name) = rounded(low_.name, scaling) >> 16 | upper(rounded(high_.name, scaling));

/* As run_one(), for the i_-th pair from element at_ on. */
EDEN_INLINE void run_pair(elem (*fn)(elem, consts), unsigned reads, unsigned writes,
                          scaling_kind scaling, const consts k_, const eden_grad_scale scale_,
                          size_t at_, size_t i_ KERNEL_ARGS)
{
    elem low_, high_;
    (void)scaling, (void)scale_;
    EACH_SLOT(LOAD_PAIR_, LOAD_GRAD_PAIR_, LOAD_PAIR_, LOAD_ZERO_, LOAD_ZERO_)
    low_ = fn(low_, k_), high_ = fn(high_, k_);
    EACH_SLOT(STORE_PAIR_, STORE_NONE_, STORE_PAIR_, STORE_NONE_, STORE_NONE_)
}

#define NOT_SUM_(name, shape, when, doc) 0,
#define IS_SUM_(name, shape, when, doc) 1,
static const unsigned char is_sum_[] = { EACH_SLOT(NOT_SUM_, NOT_SUM_, NOT_SUM_, NOT_SUM_, IS_SUM_) };
static const unsigned char is_state_[] = { EACH_SLOT(NOT_SUM_, NOT_SUM_, IS_SUM_, NOT_SUM_, NOT_SUM_) };
#define SHAPE_OF_(name, shape, when, doc) EDEN_##shape,
static const unsigned char shape_of_[] = {
    EACH_SLOT(SHAPE_OF_, SHAPE_OF_, SHAPE_OF_, SHAPE_OF_, SHAPE_OF_)
};

EDEN_INLINE size_t size_of(size_t s, eden_types types)
{
    if (is_sum_[s]) return sizeof(double);
    const int narrow = s == SLOT_p   ? types == ALL_16
                       : s == SLOT_g ? types != ALL_F32
                                     : types >= GRAD_STATE_16 && is_state_[s];
    return narrow && shape_of_[s] == EDEN_FULL ? sizeof(uint16_t) : sizeof(real);
}

/* Ask for memory AHEAD_BYTES before it is needed, into L2, for each FULL slot, so
 * that the divider and the memory work at the same time. `jump_` elements lie between
 * the end of this row and what is run after it. */
#define AHEAD_BYTES 512
#define AHEAD_(name, shape, when, doc)                                                        \
    if (((reads | writes) & SLOTS1(name)) && EDEN_##shape == EDEN_FULL && domain == EDEN_FULL) \
        ask_for((const char *)name + (i_ + (left_ <= ahead_of(size_of(SLOT_##name, types))    \
                                                ? jump_ : 0)) * size_of(SLOT_##name, types),  \
                size_of(SLOT_##name, types));
#define AHEAD_NONE_(name, shape, when, doc) (void)name;

EDEN_INLINE size_t ahead_of(size_t size) { return AHEAD_BYTES / size; }

EDEN_INLINE void ask_for(const char *at, size_t size)
{
    __builtin_prefetch(at + AHEAD_BYTES, 0, 2);
    if (size == sizeof(real)) __builtin_prefetch(at + AHEAD_BYTES + 64, 0, 2);
}

/* For the elements from the i_-th, of which `left_` are left in their row. */
EDEN_INLINE void ask_ahead(eden_shape domain, unsigned reads, unsigned writes, eden_types types,
                           size_t i_, size_t left_, size_t jump_ KERNEL_ARGS)
{
    (void)domain, (void)reads, (void)writes, (void)types, (void)i_, (void)left_, (void)jump_;
    EACH_SLOT(AHEAD_, AHEAD_, AHEAD_, AHEAD_NONE_, AHEAD_NONE_)
}

/* ---- sums ------------------------------------------------------------------ */

EDEN_INLINE void clear_lanes(double *lane)
{
    for (size_t i = 0; i < EDEN_LANES; i++) lane[i] = 0;
}

/* The sum of lanes, which are 0 afterwards; of them only the first `used` were added to. */
EDEN_INLINE double take_lanes(double *lane, size_t used)
{
    size_t w = EDEN_LANES / 2;
    while (w > 0 && w >= used) w /= 2;
    for (; w > 0; w /= 2)
        for (size_t i = 0; i < w; i++) lane[i] += lane[i + w];
    const double sum = lane[0];
    for (size_t i = 0; i < used; i++) lane[i] = 0;
    return sum;
}

/* Is slot s, written by this pass, a sum that is kept in lanes? */
EDEN_INLINE int in_lanes(size_t s, eden_shape domain, unsigned writes)
{
    return is_sum_[s] && (writes >> s & 1) && shape_of_[s] != domain
        && !(domain == EDEN_FULL && shape_of_[s] == EDEN_COL);
}

/* Rows are run a few at a time, so that what a pass has for each column is used for
 * all of them while it is in L1; short ones more at a time. */
#define ROWS_AT_ONCE 4
#define SHORT_ROWS_AT_ONCE 32

typedef void span_function(const consts *k, const eden_grad_scale *scale, eden_types types,
                           void *const *at, size_t rows, size_t cols);

/* The loop over groups of rows around a span: moves the pointers, folds the lanes. */
EDEN_INLINE void run_rows(span_function *span, eden_shape domain, unsigned reads, unsigned writes,
                          eden_types types, const consts *k, const eden_grad_scale *scale,
                          void *const *at, size_t rows, size_t cols)
{
    const size_t most = cols < EDEN_LANES ? SHORT_ROWS_AT_ONCE : ROWS_AT_ONCE;
    const size_t used = cols < EDEN_LANES ? cols : EDEN_LANES;
    double lanes[SLOT_COUNT][SHORT_ROWS_AT_ONCE * EDEN_LANES];
    void *here[SLOT_COUNT];

    for (size_t s = 0; s < SLOT_COUNT; s++) {
        here[s] = at[s];
        if (!in_lanes(s, domain, writes)) continue;
        here[s] = lanes[s];
        for (size_t r = 0; r < (rows < most ? rows : most); r++) clear_lanes(lanes[s] + r * EDEN_LANES);
    }
    for (size_t row = 0, n; row < rows; row += n) {
        n = rows - row < most ? rows - row : most;
        span(k, scale, types, here, n, cols);
        for (size_t s = 0; s < SLOT_COUNT && domain == EDEN_FULL; s++) {
            const size_t step = shape_of_[s] == EDEN_FULL ? n * cols : shape_of_[s] == EDEN_ROW ? n : 0;
            if (!in_lanes(s, domain, writes)) {
                if (((reads | writes) >> s & 1) && step)
                    here[s] = (char *)here[s] + step * size_of(s, types);
            } else if (shape_of_[s] == EDEN_ROW) {
                for (size_t r = 0; r < n; r++)
                    ((double *)at[s])[row + r] = take_lanes(lanes[s] + r * EDEN_LANES, used);
            }
        }
    }
    for (size_t s = 0; s < SLOT_COUNT; s++)
        if (in_lanes(s, domain, writes) && (shape_of_[s] == EDEN_ONE || shape_of_[s] == EDEN_EACH))
            *(double *)at[s] = take_lanes(lanes[s], EDEN_LANES);
}

/* ---- kernels ----------------------------------------------------------------- */

/* loop_ is a function of its own, with real parameters, because that is where
 * compilers honour `restrict`; inlined into its caller, gcc 12 forgets it and
 * guards the loop with run-time overlap checks. */
#define LOOP_(types, scaling, fn, domain, reads, writes)                                  \
    static EDEN_OUTLINE void loop_##fn##_##types##_##scaling(                             \
        const consts k_, const eden_grad_scale scale_, size_t rows_, size_t n_            \
        KERNEL_ARGS)                                                                      \
    {                                                                                     \
        size_t j_ = 0;                                                                    \
        for (; j_ + EDEN_LANES <= n_; j_ += EDEN_LANES)                                   \
            for (size_t r_ = 0; r_ < rows_; r_++) {                                       \
                ask_ahead(EDEN_##domain, reads, writes, types, r_ * n_ + j_, n_ - j_,     \
                          (rows_ - 1) * n_ KERNEL_NAMES);                                 \
                if (in_pairs(types, (reads) | (writes))) {                                \
                    for (size_t l_ = 0; l_ < EDEN_LANES / 2; l_++)                        \
                        run_pair(fn, reads, writes, scaling, k_, scale_, r_ * n_ + j_,    \
                                 l_ KERNEL_NAMES);                                        \
                    continue;                                                             \
                }                                                                         \
                for (size_t l_ = 0; l_ < EDEN_LANES; l_++)                                \
                    run_one(fn, EDEN_##domain, reads, writes, types, scaling, k_, scale_, \
                            0, r_ * n_ + j_ + l_, 0, r_, j_ + l_, l_ KERNEL_NAMES);             \
            }                                                                             \
        for (size_t r_ = 0; r_ < rows_; r_++)                                             \
            for (size_t l_ = 0; j_ + l_ < n_; l_++)                                       \
                run_one(fn, EDEN_##domain, reads, writes, types, scaling, k_, scale_,     \
                        0, r_ * n_ + j_ + l_, 0, r_, j_ + l_, l_ KERNEL_NAMES);                 \
    }
#define RUN_(types, scaling, fn)                                                          \
    case (types) * 4 + (scaling):                                                         \
        loop_##fn##_##types##_##scaling(*k_, *scale_, rows_, n_ KERNEL_AT);               \
        break;
#define PASS_(program, fn, domain, when, reads, writes)                                   \
    LOOP_(ALL_F32, AS_IT_IS, fn, domain, reads, writes)                                   \
    LOOP_(ALL_F32, TIMES, fn, domain, reads, writes)                                      \
    LOOP_(ALL_F32, CLAMPED_TIMES, fn, domain, reads, writes)                              \
    LOOP_(GRAD_16, TIMES, fn, domain, reads, writes)                                      \
    LOOP_(GRAD_16, CLAMPED_TIMES, fn, domain, reads, writes)                              \
    LOOP_(GRAD_STATE_16, AS_IT_IS, fn, domain, reads, writes)                             \
    LOOP_(GRAD_STATE_16, TIMES, fn, domain, reads, writes)                                \
    LOOP_(GRAD_STATE_16, CLAMPED_TIMES, fn, domain, reads, writes)                        \
    LOOP_(ALL_16, AS_IT_IS, fn, domain, reads, writes)                                    \
    LOOP_(ALL_16, TIMES, fn, domain, reads, writes)                                       \
    LOOP_(ALL_16, CLAMPED_TIMES, fn, domain, reads, writes)                               \
    static void span_##fn(const consts *k_, const eden_grad_scale *scale_,                \
                          eden_types types_, void *const *at_, size_t rows_, size_t n_)   \
    {                                                                                     \
        switch (loop_for(types_, reads, writes, scale_)) {                                \
            RUN_(ALL_F32, TIMES, fn)                                                      \
            RUN_(ALL_F32, CLAMPED_TIMES, fn)                                              \
            RUN_(GRAD_16, TIMES, fn)                                                      \
            RUN_(GRAD_16, CLAMPED_TIMES, fn)                                              \
            RUN_(GRAD_STATE_16, AS_IT_IS, fn)                                             \
            RUN_(GRAD_STATE_16, TIMES, fn)                                                \
            RUN_(GRAD_STATE_16, CLAMPED_TIMES, fn)                                        \
            RUN_(ALL_16, AS_IT_IS, fn)                                                    \
            RUN_(ALL_16, TIMES, fn)                                                       \
            RUN_(ALL_16, CLAMPED_TIMES, fn)                                               \
        default: loop_##fn##_ALL_F32_AS_IT_IS(*k_, *scale_, rows_, n_ KERNEL_AT); break;  \
        }                                                                                 \
    }                                                                                     \
    static void kernel_##fn(const void *k_, const eden_grad_scale *scale_,                \
                            eden_types types_, void *const *at_, size_t rows_,            \
                            size_t cols_)                                                 \
    {                                                                                     \
        run_rows(span_##fn, EDEN_##domain, reads, writes, types_, (const consts *)k_,     \
                 scale_, at_, rows_, cols_);                                                      \
    }
RULE_PASSES(PASS_)
#undef PASS_

#define PASS_(program, fn, domain, when, reads, writes) kernel_##fn,
extern eden_kernel *const EDEN_PASTE(eden_kernels, RULE, EDEN_ISA)[];
eden_kernel *const EDEN_PASTE(eden_kernels, RULE, EDEN_ISA)[] = { RULE_PASSES(PASS_) };
#undef PASS_
