/* mpi_train.c - with fixed_order a network is trained to the same bits on 1, 2, 3 or 4
 * ranks, each of which has a part of every batch, as in one process. */
#include "lab/data.h"
#include "lab/model.h"
#include "tests/mpi/check.h"

enum { PARTS = 12, ROWS = 8, STEPS = 60 };

typedef struct { lab_model *model; eden_optimizer *o; } side;

static void create(side *s, const lab_data *data, int many)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    const lab_model_config net = { "mlp", "96,48", "none", 0.1, 3, 1 };
    config.accumulate = PARTS, config.threads = 1, config.clip_norm = 1;
    mpi.fixed_order = 1, mpi.timeout = 60, mpi.bucket_bytes = 16384;
    if (many) OK(eden_mpi_optimizer_create(&s->o, MPI_COMM_WORLD, "adamw", &config, &mpi, error));
    else OK(eden_optimizer_create(&s->o, "adamw", &config, error));
    OK(lab_model_create(&s->model, &net, data, error));
    OK(lab_model_register(s->model, s->o, NULL, error));
    OK(eden_set(s->o, NULL, "lr", 0.01, error));
    OK(eden_schedule(s->o, NULL, "lr", "warmup(10) * cosine(60)", error));
}

/* Part `part` of batch `step`: forward, backward, and the optimizer. */
static void learn(side *s, const lab_data *data, uint64_t step, uint64_t part)
{
    const uint64_t n = step * PARTS + part, row = n * ROWS % (data->train.count - ROWS);
    double loss = 0;
    uint64_t correct;
    OK(eden_zero_grad(s->o, error));
    OK(lab_model_train(s->model, data->train.x + row * data->features, data->train.label + row, NULL, ROWS, n, &loss,
                       &correct, error));
    OK(eden_step(s->o, error));
}

int main(int argc, char **argv)
{
    side ours, alone;
    lab_data data;
    double first, last, accuracy[2];
    uint64_t right;
    MPI_Init(&argc, &argv);
    OK(lab_data_digits(&data, error));
    create(&ours, &data, 1);
    create(&alone, &data, 0);
    for (uint64_t step = 0; step < STEPS; step++) {
        for (uint64_t part = (uint64_t)my_rank(); part < PARTS; part += (uint64_t)all_ranks())
            learn(&ours, &data, step, part);
        for (uint64_t part = 0; part < PARTS; part++) learn(&alone, &data, step, part);
    }
    OK(lab_model_eval(ours.model, &data.test, &first, &right, error));
    accuracy[0] = (double)right / (double)data.test.count;
    OK(lab_model_eval(alone.model, &data.test, &last, &right, error));
    accuracy[1] = (double)right / (double)data.test.count;
    CHECK(first == last && accuracy[0] == accuracy[1], "test loss %.17g, alone %.17g", first, last);
    CHECK(accuracy[0] > 0.8, "%.1f %% of the digits are right", accuracy[0] * 100);
    if (my_rank() == 0) printf("%d ranks: test loss %.17g, %.1f %%\n", all_ranks(), first, accuracy[0] * 100);
    eden_optimizer_destroy(ours.o);
    eden_optimizer_destroy(alone.o);
    lab_model_destroy(ours.model);
    lab_model_destroy(alone.model);
    lab_data_free(&data);
    MPI_Finalize();
    return 0;
}
