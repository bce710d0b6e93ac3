/* eden_mpi.h - one optimizer on many machines, over MPI.
 *
 * Every process (a rank) has the whole model and computes the gradient of its part of a
 * batch. eden_step() then averages the gradients of all ranks, updates a shard of the
 * weights on each, and brings the new weights to all. State with a value for each
 * weight exists once in all ranks together: each has 1/W of it. A program for one
 * process becomes one for many by the call that creates the optimizer:
 *
 *     MPI_Init(&argc, &argv);
 *     eden_optimizer *opt;
 *     if (eden_mpi_optimizer_create(&opt, MPI_COMM_WORLD, "adamw", NULL, NULL, &error)) ...
 *     eden_add_tensor(opt, "w", &tensor, NULL, &error);      the same on every rank
 *     for (...) {
 *         eden_zero_grad(opt, &error);
 *         forward and backward of this rank's part of the batch
 *         if (eden_step(opt, &error)) ...                     on every rank
 *     }
 *     eden_optimizer_destroy(opt);
 *     MPI_Finalize();
 *
 * What holds:
 *
 *   Bits     given the same averaged gradient, any number of ranks makes the bits of one.
 *            Floats that are equal on all ranks average to themselves on 2 and 4; on other
 *            numbers of ranks their sum rounds.
 *   Together eden_step(), eden_lookahead_begin(), _end(), eden_swap_average(), eden_load(),
 *            eden_optimizer_destroy() and the calls below, but for eden_mpi_grad_ready()
 *            and eden_mpi_shard(), are made by every rank in the same order. Tensors,
 *            groups, settings, schedules and losses that are reported are the same on every
 *            rank and change between the same steps; if they are not, or a custom schedule
 *            returns other values, all ranks refuse the step, and the error names the first
 *            difference and a rank that has it. A micro-batch that only counts compares
 *            nothing, so there the last of the step is refused; with `fixed_order` each is
 *            compared. What one rank refuses, all refuse. Weights are compared in the first
 *            step after a tensor was added or loaded, frozen ones and copies too.
 *   Refused  after a refused step, gradients that eden_mpi_grad_ready() was told of are to
 *            be computed again. A gradient that is not finite is judged after averaging,
 *            so alike by all; means are then where gradients were, and the next step is
 *            refused (EDEN_E_ORDER) until eden_zero_grad() has given up all micro-batches
 *            of this one. With one rank, and no sum of micro-batches with a fixed order, it
 *            can be mended instead, as eden_step() says.
 *   Absent   a gradient is NULL on all ranks or on none.
 *   Writable gradients need EDEN_GRAD_WRITABLE: a step leaves the average in this rank's
 *            shard of them, and elsewhere what was there, or zero with config.zero_grad.
 *   Failure  when a rank is gone, or silent for `timeout` seconds, the others' calls fail
 *            with EDEN_E_IO, and the optimizer is of no more use. Then end all ranks with
 *            MPI_Abort(); go on from the last checkpoint. A rank that destroys the optimizer
 *            or leaves after MPI_Finalize() is silent: without a `timeout` it is waited for
 *            for ever. Calls that do not match, as eden_step() here and eden_mpi_load() there,
 *            are refused by name on all ranks (EDEN_E_ORDER), with the same end. Eden ends no
 *            program; MPI does if a rank exits without MPI_Finalize().
 *   Bytes    gradients and weights travel as they are stored (beyond 64 ranks gradients as
 *            floats), and the weights' copies not at all where they can be made of them:
 *            weights of bf16 with EDEN_MASTER halve what goes to all.
 *   Memory   besides weights and gradients a rank has 1/W of the state with a value for each
 *            weight, all other state, messages of `bucket_bytes`, and 3 bytes for every 1024
 *            weights of the model; with `fixed_order` 4 bytes a weight of its shard.
 *   Threads  MPI is called by the thread that makes the call, and by no other; if that is not
 *            the one that called MPI_Init(), creation wants MPI_THREAD_SERIALIZED.
 *
 * Not yet over ranks, and refused (EDEN_E_ORDER): eden_step_tensor(), averages read with
 * eden_get_average(), state read or lent, and eden_save() of more than weights; see
 * eden_mpi_save(). */
#ifndef EDEN_MPI_H
#define EDEN_MPI_H

#include <eden/eden.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    size_t size;           /* sizeof(eden_mpi_config)                           */
    uint64_t bucket_bytes; /* of messages under way at a time; 0: 32 MiB        */
    uint32_t timeout;      /* seconds to wait for other ranks; 0: for ever       */
    uint32_t fixed_order;  /* 1: see below                                      */
} eden_mpi_config;

#define EDEN_MPI_CONFIG_INIT { sizeof(eden_mpi_config), 0, 0, 0 }

/* An optimizer of all ranks of `comm`, which is duplicated. As eden_optimizer_create();
 * `mpi` may be NULL for all defaults.
 *
 * Up to 64 ranks add gradients up in their order, more of them in one of MPI's own, and
 * either way what a sum rounds to changes with the number of ranks. With `fixed_order`
 * gradients are added in the order of their micro-batches instead, and a run has the same
 * bits on 1, 2, 3 or 4 ranks. Then config.accumulate is the micro-batches of a step on
 * all ranks together, a multiple of their number; the n-th call of
 * eden_step() in a step takes micro-batches (n-1)*W to n*W - 1, of rank 0, 1, ...; each
 * call sends gradients, where otherwise only the last of a step does, and zeroes
 * them unless it is the last; 4 bytes a weight of the shard hold the sum. */
EDEN_API eden_status eden_mpi_optimizer_create(eden_optimizer **optimizer, MPI_Comm comm, const char *rule,
                                               const eden_config *config, const eden_mpi_config *mpi,
                                               eden_error *error);

/* A tensor's gradient is complete and will not change before the step: as soon as all of
 * a bucket are, it is sent, while backward goes on. Buckets are sent from the last tensor
 * that was added to the first, as backward makes them. Never needed, and does nothing in
 * the first step, after changes of tensors or settings, and for micro-batches that only
 * count.
 *
 * From then on the step is under way on all ranks: eden_lookahead_begin(), eden_load() and
 * going to the averages are refused (EDEN_E_ORDER), and so is the step, once, if tensors or
 * settings have changed. eden_mpi_save() may come between. eden_mpi_load(), going back from
 * the averages and eden_lookahead_end() give the gradients up, on all ranks, whichever of
 * them were told: compute them again. */
EDEN_API eden_status eden_mpi_grad_ready(eden_optimizer *optimizer, const char *tensor, eden_error *error);

/* Give rank 0's weights, copies and frozen tensors to all. The first step refuses weights that differ. */
EDEN_API eden_status eden_mpi_broadcast(eden_optimizer *optimizer, eden_error *error);

/* Save weights and state to a folder, which is made if need be: every rank writes its
 * shard to FOLDER/generation-N, and a manifest commits all of them at once. What was
 * saved before is kept, as the manifest's .old; what was before that is removed. A
 * rank that is killed meanwhile leaves the last commit as it was. All ranks need to see
 * the folder. eden_file_open() opens it like a file, and `eden merge FOLDER FILE` makes
 * one file of it, that of eden_save().
 *
 * Load such a folder, of any number of ranks, or a file of eden_save(). As eden_load();
 * each rank reads its shard, and all weights. A load that one rank refuses changes nothing
 * on any; so does one of different files, by their checksums, or of a folder in which ranks
 * see different generations (EDEN_E_MISMATCH, with the ranks' numbers). eden_load() does not
 * compare files. Micro-batches of an unfinished step are forgotten. */
EDEN_API eden_status eden_mpi_save(eden_optimizer *optimizer, const char *folder, eden_error *error);
EDEN_API eden_status eden_mpi_load(eden_optimizer *optimizer, const char *path, eden_error *error);

/* Elements [*first, *last) of a tensor are this rank's, as of the last step. */
EDEN_API eden_status eden_mpi_shard(const eden_optimizer *optimizer, const char *tensor, uint64_t *first,
                                    uint64_t *last, eden_error *error);

#ifdef __cplusplus
}
#endif
#endif
