/* rates_claims.c - the claims: names of optimizers, and numbers that are theirs. */
#include <string.h>

#include "lab/claims.h"

/* Handwritten digits, built in; images of digits from a folder; the built-in text. */
#define DIGITS "train digits --model mlp --epochs 20"
#define DIGITS_QUICK "train digits --model mlp --epochs 8"
#define LONG "train digits --model mlp --epochs 40"
#define CNN "train digits --model cnn --epochs 10"
#define CNN_QUICK "train digits --model cnn --epochs 3"
#define MNIST "train mnist {mnist} --model mlp --epochs 15"
#define MNIST_CNN "train mnist {mnist} --model cnn --epochs 8"
#define TEXT "train text --layers 2 --width 64 --heads 4 --context 32 --epochs 4 --sample 0"
#define TEXT_QUICK "train text --layers 1 --width 32 --heads 2 --context 32 --epochs 1 --sample 0"
#define MATRIX "--params 1048576 --cols 1024 --threads 1 --seconds 0.1"
#define TIMED "--params 4194304 --cols 2048 --threads 1 --seconds 1"
#define TIMED_QUICK "--params 4194304 --cols 2048 --threads 1 --seconds 0.2"
#define BY(name) "--optimizer " name
#define ON(name) "--optimizers " name

static const lab_claim claims[] = {
    /* ---- what each was made for -------------------------------------------------------- */
    { "momentum-faster", "Momentum", "Momentum converges faster than plain SGD",
      DIGITS, DIGITS_QUICK, { BY("momentum"), BY("sgd") }, "steps", 95, 1, -1, 1 },
    { "momentum-ravine", "Momentum",
      "In a ravine SGD goes to and fro across the steep direction and creeps along the flat one; "
      "momentum arrives in fewer steps",
      "trace ravine", NULL, { ON("momentum"), ON("sgd") }, "reached", 0, 0, -1, 1 },
    { "momentum-plateau", "Momentum", "Momentum rolls on where the ground is flat",
      "trace plateau", NULL, { ON("momentum"), ON("sgd") }, "reached", 0, 0, -1, 1 },
    { "sgd-saddle", "Momentum", "SGD is slow to leave a saddle; momentum leaves it sooner",
      "trace saddle", NULL, { ON("momentum"), ON("sgd") }, "reached", 0, 0, -1, 1 },
    { "nesterov-better", "Nesterov", "Nesterov is slightly better than momentum",
      DIGITS, DIGITS_QUICK, { BY("nesterov"), BY("momentum") }, "test_loss", 0, 1, -1, 1 },
    { "nesterov-faster", "Nesterov", "Looking ahead saves Nesterov steps over momentum",
      DIGITS, DIGITS_QUICK, { BY("nesterov"), BY("momentum") }, "steps", 95, 1, -1, 1 },
    { "adagrad-dies", "AdaGrad", "AdaGrad's rate decays until it hardly moves",
      "trace slope --steps 60", NULL, { ON("adagrad"), ON("sgd") }, "shrink", 0, 0, -1, 0.2 },
    { "rmsprop-lives", "RMSprop", "RMSprop forgets old gradients, so that its rate does not die",
      "trace slope --steps 60", NULL, { ON("rmsprop"), ON("adagrad") }, "last_step", 0, 0, 1, 2 },
    { "adam-fast", "Adam", "Adam converges faster than SGD",
      DIGITS, DIGITS_QUICK, { BY("adam"), BY("sgd") }, "steps", 95, 1, -1, 1 },
    { "adam-untuned", "Adam", "Adam works well at its default rate, SGD needs one of its own",
      DIGITS, DIGITS_QUICK, { BY("adam --lr 0.001"), BY("sgd --lr 0.01") }, "test_accuracy", 0, 0, 1,
      0 },
    { "bias-correction-early", "Adam", "Bias correction matters early: without it the first steps are "
      "too long",
      "trace first-steps", NULL, { ON("adam:bias_correction=0"), ON("adam") }, "first_step", 0, 0, 1,
      1.5 },
    { "bias-correction-late", "Adam", "Bias correction matters for the result",
      DIGITS, DIGITS_QUICK, { BY("adam"), BY("adam --bias-correction 0") }, "test_loss", 0, 1, -1, 1 },
    { "adamw-decay", "AdamW", "Decoupled decay (AdamW) generalizes better than decay in Adam's gradient",
      LONG, DIGITS_QUICK, { BY("adamw --weight-decay 0.1"), BY("adam --weight-decay 0.1") },
      "test_loss", 0, 1, -1, 1 },
    { "lion-better", "Lion", "Lion is often better than AdamW",
      DIGITS, DIGITS_QUICK, { BY("lion"), BY("adamw") }, "test_loss", 0, 1, -1, 1 },
    { "lion-better-cnn", "Lion", "Lion is often better than AdamW: with a convolutional network",
      CNN, CNN_QUICK, { BY("lion"), BY("adamw") }, "test_loss", 0, 1, -1, 1 },
    { "adafactor-as-good", "Adafactor", "Adafactor trains a transformer about as well as Adam (within "
      "2 % of the loss)",
      TEXT, TEXT_QUICK, { BY("adafactor"), BY("adam") }, "test_loss", 0, 1, -1, 1.02 },
    { "lamb-large", "LAMB", "At very large batches LAMB beats Adam: the whole set to a step",
      "train digits --model mlp --epochs 60 --batch 1438", NULL, { BY("lamb"), BY("adam") },
      "test_loss", 0, 1, -1, 1 },
    { "lamb-large-sgd", "LAMB", "At very large batches LAMB beats SGD with momentum",
      "train digits --model mlp --epochs 60 --batch 1438", NULL, { BY("lamb"), BY("momentum") },
      "test_loss", 0, 1, -1, 1 },
    /* ---- the tables of memory and speed ------------------------------------------------- */
    { "memory-momentum", "Memory", "Momentum keeps one number a weight: half of Adam's state",
      "bench", NULL, { "momentum " MATRIX, "adam " MATRIX }, "state", 0, 0, -1, 0.501 },
    { "memory-adafactor", "Memory", "Adafactor needs next to no state for a matrix: under 1 % of Adam's",
      "bench", NULL, { "adafactor " MATRIX, "adam " MATRIX }, "state", 0, 0, -1, 0.01 },
    { "memory-lion", "Memory", "Lion needs half of AdamW's state",
      "bench", NULL, { "lion " MATRIX, "adamw " MATRIX }, "state", 0, 0, -1, 0.501 },
    { "memory-lamb", "Memory", "LAMB needs no more state than Adam",
      "bench", NULL, { "lamb " MATRIX, "adam " MATRIX }, "state", 0, 0, -1, 1.001 },
    { "speed-sgd", "Speed", "An update of SGD is faster than one of Adam",
      "bench", NULL, { "sgd " TIMED_QUICK, "adam " TIMED_QUICK }, "ns", 0, 0, -1, 1 },
    { "speed-lion", "Speed", "An update of Lion is faster than one of AdamW",
      "bench", NULL, { "lion " TIMED_QUICK, "adamw " TIMED_QUICK }, "ns", 0, 0, -1, 1 },
    { "speed-lamb", "Speed", "An update of LAMB is slower than one of Adam",
      "bench", NULL, { "lamb " TIMED_QUICK, "adam " TIMED_QUICK }, "ns", 0, 0, 1, 1 },
    { "speed-adafactor", "Speed", "An update of Adafactor is slower than one of Adam",
      "bench", NULL, { "adafactor " TIMED_QUICK, "adam " TIMED_QUICK }, "ns", 0, 0, 1, 1 },
    /* ---- which to start with -------------------------------------------------------------- */
    { "vision-sgd", "Tasks", "Vision from scratch: SGD with momentum, lr 0.1, with a schedule, beats "
      "AdamW",
      CNN, CNN_QUICK, { BY("momentum"), BY("adamw") }, "test_loss", 0, 1, -1, 1 },
    { "vision-generalizes", "Tasks", "SGD generalizes better than Adam in vision",
      MNIST, NULL, { BY("momentum"), BY("adam") }, "test_accuracy", 0, 1, 1, 0 },
    { "vision-generalizes-cnn", "Tasks", "SGD generalizes better than Adam in vision: with a "
      "convolutional network",
      MNIST_CNN, NULL, { BY("momentum"), BY("adam") }, "test_accuracy", 0, 1, 1, 0 },
    { "vision-gap", "Tasks", "The gap from training to test is smaller with SGD than with Adam",
      LONG, DIGITS_QUICK, { BY("momentum"), BY("adam") }, "gap", 0, 1, -1, 0 },
    { "text-adamw", "Tasks", "Transformers: AdamW rather than SGD with momentum",
      TEXT, TEXT_QUICK, { BY("adamw"), BY("momentum") }, "test_loss", 0, 1, -1, 1 },
    { "text-lion", "Tasks", "Lion is often better than AdamW: with a transformer",
      TEXT, TEXT_QUICK, { BY("lion"), BY("adamw") }, "test_loss", 0, 1, -1, 1 },
    { "sparse-adagrad", "Tasks", "Sparse data: AdaGrad, rather than SGD",
      "train sparse", "train sparse --epochs 1", { BY("adagrad"), BY("sgd") }, "test_loss", 0, 1, -1, 1 },
    { "sparse-adam", "Tasks", "Sparse data: AdaGrad, rather than Adam",
      "train sparse", "train sparse --epochs 1", { BY("adagrad"), BY("adam") }, "test_loss", 0, 1, -1, 1 },
    { "finetune-adamw", "Tasks", "Fine-tuning: AdamW rather than SGD with momentum",
      "train finetune --epochs 20", NULL, { BY("adamw"), BY("momentum") }, "test_loss", 0, 1, -1, 1 },
    { "finetune-pays", "Tasks", "From few examples a network that knows other classes learns better than a "
      "new one",
      "train finetune --epochs 20", NULL, { BY("adamw"), BY("adamw --scratch") }, "test_accuracy", 0, 1, 1,
      0 },
    { "finetune-small-rate", "Tasks", "Fine-tuning: a rate of 1e-4 does better than one of 1e-2",
      "train finetune --epochs 20", NULL, { BY("adamw --lr 1e-4"), BY("adamw --lr 1e-2") }, "test_loss", 0,
      0, -1, 1 },
    { "gan-adam", "Tasks", "GANs: Adam, rather than SGD with momentum",
      "train gan --epochs 12", "train gan --epochs 4", { BY("adam"), BY("momentum") }, "distance",
      0, 1, -1, 1 },
    { "gan-rate", "Tasks", "GANs: a rate of 2e-4 does better than one of 2e-3",
      "train gan --epochs 12", "train gan --epochs 4", { BY("adam --lr 2e-4"), BY("adam --lr 2e-3") },
      "distance", 0, 0, -1, 1 },
    { "rl-adam", "Tasks", "Reinforcement learning: Adam, rather than SGD with momentum",
      "train rl --epochs 8", "train rl --epochs 4", { BY("adam"), BY("momentum") }, "return_steps", 475,
      1, -1, 1 },
    { "rl-rate", "Tasks", "Reinforcement learning: a rate of 3e-4 does better than one of 3e-3",
      "train rl --epochs 8", "train rl --epochs 4", { BY("adam --lr 3e-4"), BY("adam --lr 3e-3") },
      "return_steps", 475, 0, -1, 1 },
    /* ---- always combine with scheduling ---------------------------------------------------- */
    { "schedule-momentum", "Schedules", "Always combine with scheduling: momentum with a cosine beats "
      "momentum without",
      DIGITS, DIGITS_QUICK, { BY("momentum"), BY("momentum --schedule constant(1)") }, "test_loss", 0,
      1, -1, 1 },
    { "schedule-adam", "Schedules", "Always combine with scheduling: so does Adam",
      DIGITS, DIGITS_QUICK, { BY("adam"), BY("adam --schedule constant(1)") }, "test_loss", 0, 1, -1,
      1 },
    { "schedule-text", "Schedules", "Transformers: AdamW with warm-up and cosine beats a constant rate",
      TEXT, TEXT_QUICK, { BY("adamw"), BY("adamw --warmup 1 --schedule constant(1)") }, "test_loss", 0,
      1, -1, 1 },
};

const lab_claim *lab_claim_at(size_t i)
{
    return i < sizeof claims / sizeof *claims ? &claims[i] : NULL;
}

const lab_claim *lab_claim_find(const char *id)
{
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        if (!strcmp(claims[i].id, id)) return &claims[i];
    return NULL;
}
