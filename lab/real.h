/* real.h - the type that networks compute in: float, or double where the build
 * says so to check gradients by finite differences. */
#ifndef LAB_REAL_H
#define LAB_REAL_H

#include <stdint.h>

#ifndef LAB_REAL
#define LAB_REAL float
#endif
typedef LAB_REAL lab_real;

#endif
