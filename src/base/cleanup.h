/* SPDX-License-Identifier: Apache-2.0 */
/* cleanup.h - ownership bound to scope, and the attributes used everywhere. */
#pragma once

#include <stdlib.h>
#include <unistd.h>
#include <stdio.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Hands a pointer over: its value is taken, the variable is NULL afterwards. */
#define TAKE_PTR(p)                          \
	({                                   \
		__typeof__(p) *pp_ = &(p);   \
		__typeof__(p) taken_ = *pp_; \
		*pp_ = NULL;                 \
		taken_;                      \
	})

/* The same for a descriptor, which is -1 afterwards. */
#define TAKE_FD(fd)                 \
	({                          \
		int *fdp_ = &(fd);  \
		int taken_ = *fdp_; \
		*fdp_ = -1;         \
		taken_;             \
	})

/* Defines `NAMEp()`, which calls `f` on a variable that goes out of scope. */
#define DEFINE_CLEANUP(type, f)              \
	static inline void f##p(type *p)     \
	{                                    \
		if (*p)                      \
			f(*p);               \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
