/* small.h - a pass over matrices of few elements, one element after the other, where a
 * kernel's start for each would be most of the time. Sums are added up in memory order.
 */

/* Rules without factors have no use for these. */
#define HAS_SHAPE_(name, shape, when, doc) || EDEN_##shape == EDEN_ROW || EDEN_##shape == EDEN_COL
#define HAS_FACTORS (0 EACH_SLOT(HAS_SHAPE_, HAS_SHAPE_, HAS_SHAPE_, HAS_SHAPE_, HAS_SHAPE_))

/* The scale is applied as if it were one: where it is none it changes no bit. Matrices of
 * one element, such as those of 1 x 1 convolutions, have a loop that compilers can widen. */
#define PASS_(program, fn, domain, when, reads, writes)                                   \
    static EDEN_OUTLINE void elements_##fn(const consts k_, const eden_grad_scale scale_, \
                                           size_t matrices_, size_t rows_, size_t cols_   \
                                           KERNEL_ARGS)                                   \
    {                                                                                     \
        size_t i_ = 0;                                                                    \
        for (size_t m_ = 0; rows_ * cols_ == 1 && m_ < matrices_; m_++, i_++)             \
            run_one(fn, EDEN_##domain, reads, writes, ALL_F32, CLAMPED_TIMES, k_, scale_, \
                    1, m_, m_, m_, m_, 0 KERNEL_NAMES);                                   \
        for (size_t m_ = i_; m_ < matrices_; m_++)                                        \
            for (size_t r_ = 0; r_ < rows_; r_++)                                         \
                for (size_t c_ = 0; c_ < cols_; c_++, i_++)                               \
                    run_one(fn, EDEN_##domain, reads, writes, ALL_F32, CLAMPED_TIMES, k_, \
                            scale_, 1, i_, m_, m_ * rows_ + r_, m_ * cols_ + c_,          \
                            0 KERNEL_NAMES);                                              \
    }                                                                                     \
    static void small_##fn(const void *k_, const eden_grad_scale *scale_,                 \
                           void *const *at_, size_t matrices_, size_t rows_, size_t cols_) \
    {                                                                                     \
        if (HAS_FACTORS)                                                                  \
            elements_##fn(*(const consts *)k_, *scale_, matrices_, rows_, cols_ KERNEL_AT); \
    }
RULE_PASSES(PASS_)
#undef PASS_

#define PASS_(program, fn, domain, when, reads, writes) small_##fn,
extern eden_small_kernel *const EDEN_PASTE(eden_small, RULE, EDEN_ISA)[];
eden_small_kernel *const EDEN_PASTE(eden_small, RULE, EDEN_ISA)[] = { RULE_PASSES(PASS_) };
#undef PASS_
