/* commands.c - the table of commands and each one's table of options. */
#include "cli/commands.h"

#include <string.h>

#include "cli/output.h"
#include "lab/storage.h"
#include "lab/train.h"
#include "lab/transformer.h"

#define END { 0 }
#define SWITCH(name, doc) { name, 0, CLI_SWITCH, NULL, doc, NULL, 0, 0, CLI_NOTHING, NULL, 0 }
#define TEXT(name, value, doc) { name, 0, CLI_TEXT, value, doc, NULL, 0, 0, CLI_NOTHING, NULL, 0 }
#define WORDS(name, words, initial, doc) \
    { name, 0, CLI_TEXT, words, doc, initial, 0, 0, CLI_WORDS, words, 0 }
#define FILES(name, doc) { name, 0, CLI_TEXT, "FILE", doc, NULL, 0, 0, CLI_FILES, NULL, 0 }
#define NAMES(name, letter, value, initial, completion, doc) \
    { name, letter, CLI_TEXT, value, doc, initial, 0, 0, completion, NULL, 0 }
#define COUNT(name, value, low, high, initial, doc) \
    { name, 0, CLI_COUNT, value, doc, initial, low, high, CLI_NOTHING, NULL, 0 }
#define REAL(name, value, low, high, initial, doc) \
    { name, 0, CLI_REAL, value, doc, initial, low, high, CLI_NOTHING, NULL, 0 }
#define MANY(name, value, doc) { name, 0, CLI_TEXT, value, doc, NULL, 0, 0, CLI_NOTHING, NULL, 1 }

#define JSON SWITCH("json", "print JSON for other programs")

/* How numbers are stored. */
#define STATE_DTYPE WORDS("state-dtype", LAB_STATE_DTYPES, "f32", "how the optimizer's state is stored")
#define ROUNDING                                                                              \
    WORDS("rounding", LAB_ROUNDINGS, "nearest", "what becomes of what 16-bit weights cannot hold")
#define STORAGE                                                                               \
    WORDS("dtype", LAB_DTYPES, "f32", "how weights are stored"),                              \
    WORDS("grad-dtype", LAB_DTYPES, "f32", "how gradients are stored"), STATE_DTYPE, ROUNDING

/* What train and compare share. A seed may have 53 bits, so that every JSON
 * reader keeps it. */
#define TRAINING(kind)                                                                        \
    TEXT("label", "COLUMN", "csv: the column to predict"),                                    \
    WORDS(kind, "class|value", "the column decides", "csv: predict a class or a value"),      \
    WORDS("model", "logistic|mlp|cnn|resnet", "the task's", "the network"),                   \
    TEXT("widths", "N,N,...", "hidden widths of an mlp, channels of a cnn or resnet"),        \
    WORDS("norm", "none|batch|layer", "the model's", "normalization after each layer"),       \
    REAL("dropout", "P", 0, 0.99, "the model's", "share of units dropped before the last layer"), \
    { "schedule", 0, CLI_TEXT, "TEXT",                                                        \
      "factors on lr over the steps, such as 'constant(1)' or 'step(500, factor=0.1)'; see "  \
      "SCHEDULES", "a cosine to 1 % over the run", 0, 0, CLI_NOTHING, NULL, 0 },              \
    COUNT("warmup", "N", 1, 1e9, "none", "steps over which lr rises linearly to its value"),  \
    COUNT("epochs", "N", 1, 1e6, "the task's", "times through the training set"),             \
    { "batch", 0, CLI_COUNT, "N", "examples to a step, or 'all' of the training set",         \
      "the task's", 1, 1e6, CLI_NOTHING, "all", 0 },                                          \
    WORDS("rate-scaling", "none|linear|sqrt", "none",                                         \
          "multiply the table's rate by the step's examples over the task's usual batch, or " \
          "by that ratio's square root"),                                                     \
    REAL("clip", "NORM", 1e-12, 1e12, "off", "scale gradients down to this norm, all together"), \
    COUNT("accumulate", "N", 2, 1e6, "off", "batches whose gradients make one step"),         \
    COUNT("parts", "N", 2, LAB_MOST_PARTS, "off",                                             \
          "cut each batch into N parts and add their gradients in order: then 1 process and all " \
          "numbers of ranks that divide N make the same bits"),                               \
    { "average", 0, CLI_TEXT, "ema:DECAY|swa",                                                \
      "test averages of the weights over the steps, from step S on and every N-th with :S:N " \
      "behind; a checkpoint has both", "off", 0, 0, CLI_NOTHING, NULL, 0 },                   \
    SWITCH("no-decay", "no weight decay for biases and normalization"),                       \
    STORAGE,                                                                                  \
    COUNT("seed", "N", 0, 9007199254740991.0, "1",                                            \
          "of the weights, the data's order, dropout and rounding by chance"),                \
    COUNT("threads", "N", 1, 256, "one a core", "threads; their number changes no result")

#define TIMEOUT                                                                               \
    COUNT("timeout", "N", 1, 1e6, "300",                                                      \
          "of ranks: seconds after which one that is silent ends all; more than any evaluation or save takes")

/* What only some tasks have. */
#define OF_TASKS                                                                              \
    COUNT("layers", "N", 1, LAB_MOST_BLOCK_LAYERS, "4", "text: blocks of the transformer"),   \
    COUNT("heads", "N", 1, 65536, "4", "text: heads of attention, which divide the width"),   \
    COUNT("width", "N", 1, 65536, "128", "text: values of a byte between blocks"),            \
    COUNT("context", "N", 1, LAB_MOST_CONTEXT, "64", "text: bytes that the network sees at once"), \
    COUNT("envs", "N", 1, 1e5, "16", "rl: carts side by side"),                               \
    COUNT("horizon", "N", 1, 1e5, "128", "rl: steps of each cart in a rollout"),              \
    COUNT("passes", "N", 1, 1000, "10", "rl: times that a rollout is learned from"),          \
    COUNT("noise", "N", 1, 65536, "32", "gan: random values that an image is made from"),     \
    COUNT("examples", "N", 2, 1e6, "100", "finetune: labelled examples of the new classes, in all"), \
    REAL("body-rate", "P", 1e-6, 1, "0.1", "finetune: the body's share of the learning rate"), \
    FILES("from", "finetune: a checkpoint whose body to begin with, instead of training one"), \
    SWITCH("scratch", "finetune: learn the new classes from nothing, to compare")

static const cli_option merge[] = { COUNT("ranks", "N", 1, 65536, NULL, "make a folder of N ranks of it"), END };
static const cli_option json_only[] = { JSON, END };
static const cli_option none[] = { END };

static const cli_option train[] = {
    NAMES("optimizer", 0, "NAME", "{usual}", CLI_OPTIMIZERS, "the optimizer, one of 'eden list'"),
    MANY("set", "NAME=VALUE", "a setting of the optimizer, the same as --NAME VALUE"),
    TRAINING("target"),
    OF_TASKS,
    COUNT("sample", "N", 0, 1e7, "500", "text: bytes that it writes at the end"),
    REAL("temperature", "T", 0, 100, "0.8",
         "text: how freely it writes; 0 takes the likeliest byte, 1 each by its chance"),
    FILES("sheet", "gan: write ten images of each class to this file, .png or .svg"),
    FILES("log", "write a JSON record of every step and epoch to this file"),
    COUNT("log-every", "N", 1, 1e9, "1", "steps to a record"),
    FILES("save", "write a checkpoint after every epoch and at the end"),
    FILES("best", "write a checkpoint after every epoch that is better than those before"),
    COUNT("early-stop", "N", 1, 1e6, "off", "end after N epochs on end that are not better than the best"),
    FILES("resume", "continue from a checkpoint, to the same bits as if never stopped"),
    SWITCH("continue", "with --save: continue from its file, or the one before it, else begin"),
    SWITCH("eval", "only measure the checkpoint given by --resume"),
    TIMEOUT,
    JSON,
    END
};

static const cli_option compare[] = {
    NAMES("optimizers", 0, "A,B,...", "all", CLI_OPTIMIZERS, "which to compare"),
    COUNT("seeds", "N", 1, 1000, "1", "runs of each, with seeds that follow one another"),
    COUNT("budget", "N", 0, 1000, "0",
          "rates of each to try first, around the table's, with a seed of their own; the best is taken"),
    REAL("target", "X", 1e-12, 1e12, "95 for an accuracy",
         "what the test is to reach, as the table shows it: percent of an accuracy, another metric "
         "such as perplexity, or without a metric the test loss"),
    TRAINING("target-kind"),
    TEXT("batches", "N,N,...", "batch sizes to compare at, 'all' for the whole set, in the same number of epochs"),
    OF_TASKS,
    NAMES("report", 0, "DIR", NULL, CLI_FOLDERS, "write index.html and the curves as PNG, SVG and CSV"),
    TIMEOUT,
    JSON,
    END
};

static const cli_option tune[] = {
    NAMES("optimizer", 0, "NAME", "the task's", CLI_OPTIMIZERS, "the optimizer, one of 'eden list'"),
    MANY("set", "NAME=VALUE", "a setting of the optimizer, the same as --NAME VALUE"),
    COUNT("budget", "N", 2, 1000, "8", "training runs in all, beside the range test"),
    COUNT("seeds", "N", 1, 500, "1", "runs of each rate, with seeds that follow one another"),
    REAL("margin", "P", 0, 100, "0.5", "how near the best a smaller rate must come, in percent of it"),
    COUNT("range-steps", "N", 20, 1e6, "300", "steps of the range test"),
    NAMES("output", 'o', "FILE", NULL, CLI_FILES, "draw it, as .png or .svg"),
    TRAINING("target"),
    OF_TASKS,
    JSON,
    END
};

static const cli_option step[] = {
    FILES("params", "safetensors file of the weights"),
    FILES("grads", "safetensors file of the gradients, under the same names"),
    FILES("state", "state of the optimizer to continue from; without it, a fresh one"),
    FILES("out", "where the updated weights go"),
    FILES("state-out", "where the optimizer's state goes"),
    MANY("set", "NAME=VALUE", "a setting, the same as --NAME VALUE; more may follow as words"),
    MANY("group", "REGEX:NAME=VALUE,...",
         "settings for the tensors whose name matches (POSIX extended) and no earlier --group took"),
    STATE_DTYPE,
    ROUNDING,
    COUNT("repeat", "N", 1, 1e9, "1", "steps to take with the same gradients"),
    COUNT("threads", "N", 1, 256, "one a core", "threads; their number changes no result"),
    END
};

static const cli_option inspect[] = {
    SWITCH("no-verify", "read only the header: no checksums, no ranges"), JSON, END
};

static const cli_option plot[] = {
    NAMES("output", 'o', "FILE", NULL, CLI_FILES, "picture to write, .png or .svg"),
    END
};

static const cli_option trace[] = {
    { "optimizers", 0, CLI_TEXT, "A,B:X=Y,...",
      "which to run; settings may follow a name and a ':', and a ';' may stand for a ','",
      "the surface's", 0, 0, CLI_OPTIMIZERS, NULL, 0 },
    REAL("lr", "X", 0, 1e12, "a table's", "learning rate, the same for all of them"),
    COUNT("steps", "N", 1, 100000, "the surface's", "steps to take"),
    COUNT("seed", "N", 0, 9007199254740991.0, "1", "of the noise, where there is some"),
    NAMES("output", 'o', "FILE", NULL, CLI_FILES, "picture to write, .png or .svg, or .gif, which moves"),
    JSON,
    END
};

static const cli_option advise[] = {
    NAMES("params", 0, "N", "1000000", CLI_NOTHING, "weights of the network, such as 124M"),
    NAMES("batch", 0, "N", "32", CLI_NOTHING, "examples to a step"),
    TEXT("memory", "BYTES", "what weights, gradients and state may take, such as 24GiB or 800M"),
    COUNT("steps", "N", 1, 1e12, "10000", "steps of the whole training, for the schedule"),
    JSON,
    END
};

static const cli_option evidence[] = {
    SWITCH("list", "print the claims and run nothing"),
    SWITCH("quick", "smaller networks, shorter runs, fewer rates"),
    COUNT("seeds", "N", 2, 1000, "5", "runs of each side"),
    NAMES("mnist", 0, "DIR", NULL, CLI_FOLDERS, "folder of IDX files, for the claims about larger images"),
    FILES("results", "keep the results of runs in this file, and take those that are there"),
    NAMES("output", 'o', "FILE.md", NULL, CLI_FILES, "write a page, and its picture beside it"),
    COUNT("threads", "N", 1, 64, "one a core", "runs at a time; timings have the machine to themselves"),
    JSON,
    END
};

static const cli_option bench[] = {
    COUNT("params", "N", 1024, 4e9, "2^14, 2^18, 2^26", "elements in all"),
    COUNT("tensors", "N", 1, 1e6, "1", "tensors they are divided among"),
    COUNT("cols", "N", 1, 4e9, "as square as it gets", "columns of each tensor"),
    STORAGE,
    SWITCH("check", "look for bad gradients first, as a program does by default"),
    REAL("clip", "NORM", 1e-12, 1e12, "off", "clip gradients to this norm"),
    SWITCH("zero-grad", "zero the gradients in the step"),
    COUNT("threads", "N", 1, 256, "one a core", "threads"),
    REAL("seconds", "N", 0.1, 600, "2", "time to measure each size for"),
    MANY("set", "NAME=VALUE", "a setting of the optimizer, the same as --NAME VALUE"),
    JSON,
    END
};

#define TASKS                                                                             \
    "The task is 'digits' (1,797 images that come with Eden), 'mnist DIR' (a folder of "  \
    "four IDX files, gzipped or not), 'cifar10 DIR' (one of six files, CIFAR-10's binary " \
    "version), 'sparse' (made-up documents, most of whose words are rare; the seed draws " \
    "them), 'csv FILE --label COLUMN' (a table with a header line)"

static const cli_command commands[] = {
    { "list", "list the optimizers", "",
      "Lists every optimizer, oldest first, with the bytes of state it keeps for each weight of "
      "a 1024 x 1024 matrix at its default settings.",
      "eden list\neden list --json\n", json_only, 0, 0, 0, 0, CLI_NOTHING, NULL, cli_list },
    { "show", "explain one optimizer", "NAME",
      "Shows an optimizer's formula, its settings with ranges and defaults, the memory it needs, "
      "how to spell other libraries' variants with it, and its paper.",
      "eden show {usual}\n", json_only, 1, 1, 0, 0, CLI_OPTIMIZERS, NULL, cli_show },
    { "train", "train a network", "TASK [DATA]",
      TASKS ", 'finetune [DIR]' (new classes of digits, or of a folder's images, for a network that knows others), "
      "'text [FILE]' (a transformer that learns which byte comes next, in a file of yours or in sources of Eden's), "
      "'rl' (a policy that learns to balance a pole on a cart) or 'gan' (a generator of digits against a "
      "discriminator). Every setting of the chosen optimizer is a flag. Without --lr the rate comes from a table for "
      "this task, model and optimizer, and the command says so.\n\n"
      "To fine-tune, a network learns the lower half of the classes first, with fixed settings, or takes all but its "
      "last layer from the checkpoint of --from. Then it learns the others from a few examples, and is tested on all "
      "there are of them in the test set. Tensors are in the groups body, whose learning rate is a part of the given "
      "one, and head.\n\n"
      "A text is learned from its first 9 of 10 bytes and tested on the others: on all of them at the end, on a fixed "
      "part between epochs. Its epochs are 250 batches of sequences from anywhere, its losses nats a byte, and its "
      "rate rises over 100 steps and falls along a cosine to a tenth. Gradients are clipped to a norm of 1, biases "
      "and norms never decay, and at the end the network writes a sample of its own.\n\n"
      "The pole is the cart-pole of 1983, simulated. The policy learns by proximal policy optimization, with a "
      "network for the value and generalized advantages: a rollout is made by --envs carts over --horizon steps and "
      "learned from --passes times, and an epoch is 5 rollouts. After each epoch the likelier actions are taken in "
      "100 episodes of at most 500 steps; their mean length is the return, and the test loss is the share of the 500 "
      "that it leaves out. Gradients are clipped to a norm of 0.5, and the rate falls along a cosine to a "
      "tenth.\n\n"
      "The generator makes digits of a given class from random values; the discriminator is told the class as well. "
      "Both take each step at once, with the losses of 2014, the generator's without saturation; an epoch is 250 "
      "batches. After each, a classifier that was first trained on the real digits looks at 1,000 made ones: "
      "confident is the share that have a class with a chance over 0.8, least class the share of the one found least, "
      "as asked the share of the class that was asked for, and the test loss the Frechet distance to the test set by "
      "the classifier's last hidden layer.\n\n"
      "Networks compute in float32. --dtype, --grad-dtype and --state-dtype say what lies in memory between steps; "
      "--rounding keeps what 16-bit weights would lose of a step: in float32 copies (master), in the bits that bf16 "
      "lacks (split), in the mean (stochastic) or for the next step (kahan).\n\n"
      "An epoch is better than others by its test's metric, or without one by the test loss, and that of a gan by its "
      "distance, as 'eden compare' judges; as good is not better. --early-stop counts over resumed runs too, whose "
      "--early-stop may be another, or none to go on to the last epoch.\n\n"
      "Ctrl-C finishes the step, saves if --save was given, and says how to resume; a second Ctrl-C stops at once. "
      "SIGUSR1 saves now. A resumed run takes model and settings from the checkpoint. One run at a time can write to "
      "the files of --save, --best and --log; for another, their .lock files say which.\n\n"
      "After 'mpirun -n W', W processes share each batch; with --parts their number changes no bit.",
      "eden train digits\n"
      "eden train digits --optimizer {old} --lr 0.1 --schedule 'cosine(900)'\n"
      "eden train mnist data/mnist --model cnn --log run.jsonl --save run.safetensors\n"
      "eden train cifar10 data/cifar-10-batches-bin --epochs 5\n"
      "eden train digits --epochs 200 --early-stop 10 --best best.safetensors\n"
      "eden train csv houses.csv --label price --model logistic\n"
      "eden train finetune --optimizer {usual} --examples 50\n"
      "eden train text plays.txt --save plays.safetensors --sample 2000\n"
      "eden train rl --save cart.safetensors\n"
      "eden train gan --sheet digits.png\nmpirun -n 4 eden train digits --parts 12\n",
      train, 1, 2, 1, 0, CLI_WORDS, "digits|mnist|cifar10|sparse|finetune|csv|text|rl|gan", cli_train },
    { "compare", "train with every optimizer and compare", "TASK [DATA]",
      TASKS ", or another that 'eden train' has. Every optimizer sees the same data in the same order and starts from "
      "the same weights; its rate comes from a table, or with --budget from as many tries as every other has. The row "
      "'none' is a network that is not trained.\n\n"
      "TRAIN is the mean loss of the last epoch's batches. GAP is the test loss less that of the training set, both "
      "measured at the end by the same weights. STEPS and TIME, of steps alone, are counted to the end of the epoch "
      "that first reaches the target. STEP is a step's time, UPDATE the optimizer's share of it, STATE the bytes it "
      "keeps for each weight. With --seeds all are means.\n\n"
      "With --batches the table has the test's result at each size of the batch, and a report the curves over it; "
      "--rate-scaling makes a table's rates follow the size. 'bigbatch' is digits with --batches 32,128,512,all and "
      "--rate-scaling sqrt. 'mpirun -n W' shares each batch as for 'eden train'.",
      "eden compare digits\n"
      "eden compare digits --optimizers {old},{usual} --seeds 3 --report report\n"
      "eden compare text --epochs 2 --budget 3 --target 8\n"
      "eden compare bigbatch --budget 5 --seeds 3 --report report\n",
      compare, 1, 2, 0, 0, CLI_WORDS, "digits|mnist|cifar10|sparse|finetune|csv|text|rl|gan|bigbatch",
      cli_compare },
    { "tune", "find an optimizer's learning rate for a task", "TASK [DATA]",
      "For any task of 'eden train', with its options and the optimizer's settings. First a range test: in one run "
      "the rate rises from step to step, from 1e-7 to 10 or until the loss explodes; useful are the rates from where "
      "a tenth of the loss's fall is made for good to where the smoothed loss is least. Then a search: some rates "
      "divide that range evenly, and the rest of the budget goes beside the best. Each is a whole run, with --epochs "
      "a shorter one, and is judged by the test's metric, or the test loss where there is none.\n\n"
      "Recommended is the smallest rate within the margin of the best. The last line is the command that trains with "
      "it. Ctrl-C stops and tells what is known.",
      "eden tune digits --optimizer {old}\n"
      "eden tune digits --optimizer {usual} --budget 12 --seeds 2 -o rates.png\n"
      "eden tune text plays.txt --epochs 2 --budget 6\n",
      tune, 1, 2, 1, 0, CLI_WORDS, "digits|mnist|cifar10|sparse|finetune|csv|text|rl|gan", cli_tune },
    { "step", "apply an optimizer to files", "NAME",
      "Updates the weights of one safetensors file with the gradients of another: one optimizer step, in the reach of "
      "any language. --params, --grads and --out are needed; --out may be the same file as --params, and --state-out "
      "the same as --state. Outputs appear only when all went well, and nothing is printed.\n\n"
      "Tensors are F32, BF16 or F16, each as it is in its file, and matched by name. A weight without a gradient is "
      "left alone, whatever its type. A gradient without a weight, or with a NaN or infinity in it, is refused. What "
      "a step would lose in 16-bit weights is kept as --rounding says, with --state-out for the next "
      "step.\n\n"
      "--state-out keeps what the optimizer remembers, counts and settings included, and --state goes on from there: "
      "several steps through files make the same bits as --repeat. Settings, groups, clipping and storage are then "
      "the file's, and a setting on the command line wins over the file's. A checkpoint of 'eden train' can be "
      "--params and --state at once.",
      "eden step {usual} --params p.safetensors --grads g.safetensors \\\n"
      "    --out p.safetensors --lr 1e-4\n"
      "eden step {usual} --params p.safetensors --grads g.safetensors \\\n"
      "    --out p.safetensors --state-out s.safetensors \\\n"
      "    --set lr=1e-4 --group 'bias$:weight_decay=0'\n"
      "eden step {usual} --params p.safetensors --grads g.safetensors \\\n"
      "    --out p.safetensors --state s.safetensors --state-out s.safetensors\n",
      step, 1, 1, 1, 0, CLI_OPTIMIZERS, NULL, cli_step },
    { "inspect", "print what a safetensors file holds", "FILE",
      "Prints the format of a file, its metadata, and each tensor's type, shape, size and range, and "
      "compares the checksums that files of Eden's have. Other files have none, so that only their "
      "form can be checked, which is done strictly. What the file says is printed with escapes, so that "
      "no name can do harm. The JSON is ASCII, and its whole numbers are exact: a side may be 2^64 - 1.\n\n"
      "The exit code is 0 if all is well, 65 if the file is malformed or damaged, 66 if it cannot be read.",
      "eden inspect run.safetensors\neden inspect --json model.safetensors\n", inspect, 1, 1, 0, 0,
      CLI_FILES, NULL, cli_inspect },
    { "merge", "make one file of a checkpoint of many ranks", "FROM TO",
      "What programs of several ranks saved in a folder becomes the file that one would have saved; with --ranks "
      "a file, or a folder, becomes the folder of so many. Any number of ranks goes on from either.",
      "eden merge run run.safetensors\neden merge run.safetensors run --ranks 64\n", merge, 2, 2, 0, 0, CLI_FILES, NULL, cli_merge },
    { "plot", "draw the logs of training runs", "LOG...",
      "Draws loss and accuracy of one or more files that 'eden train --log' wrote, through gnuplot.",
      "eden plot a.jsonl b.jsonl -o curves.png\n", plot, 1, 1000, 0, 0, CLI_FILES, NULL, cli_plot },
    { "trace", "show paths of optimizers over a surface", "[SURFACE]",
      "Runs optimizers on a function of two variables, and tells where they ended, after how many steps they were "
      "near a minimum for good, how long their path was and how often it turned back. The picture has the paths over "
      "the contour lines, and the distance to the minimum (or the length of each step) over the steps; gnuplot draws "
      "it. Without a surface, lists them, with what each of them shows.\n\n"
      "The rates are from a table, tuned for each surface. A path that diverges is told with its step; the exit code "
      "is 65 if all do.",
      "eden trace ravine\n"
      "eden trace saddle -o saddle.png\n"
      "eden trace noisy --optimizers '{old}:lr=0.02;{usual}' --seed 2 -o noisy.gif\n", trace, 0, 1, 0,
      0, CLI_WORDS,
      "ravine|rosenbrock|beale|himmelblau|saddle|plateau|noisy|slope|first-steps", cli_trace },
    { "advise", "say which optimizer to start with", "[TASK]",
      "Says which optimizer, rate, schedule and weight decay people start with for a task, the memory it "
      "takes, the lines of C for it, and the claims behind it with what 'eden evidence' found of them. Where "
      "memory is short, state is stored in fewer bytes first. On a terminal it asks what the line does not "
      "say; without a task it lists them elsewhere.",
      "eden advise\n"
      "eden advise language --params 124M --memory 2GiB\n", advise, 0, 1, 0, 0, CLI_WORDS,
      "vision|finetune|language|gan|rl|sparse|large-batch|other", cli_advise },
    { "evidence", "put what is said of optimizers to the test", "[CLAIM...]",
      "Each claim has an experiment: two lines of this command that differ in one thing, run with the same seeds. "
      "Where the learning rate decides, each side first searches its own among as many as the other, and past the "
      "edge of those if the best is there. The effect is told with its interval of 95 %; a claim holds if all of the "
      "interval is on its side, does not hold if all is on the other, and else is undecided. --list has the claims.",
      "eden evidence --list\n"
      "eden evidence vision-gap\n"
      "eden evidence --quick --results results.jsonl -o evidence.md\n", evidence, 0, 1000, 0, 0, CLI_NOTHING,
      NULL, cli_evidence_command },
    { "bench", "time an optimizer's step beside the memory's limit", "NAME",
      "Times steps on made-up tensors, and in turn with them plain loops that move the same "
      "bytes in as many streams and do nothing else: the least time a step can take. Sizes fit "
      "the second level of cache, the third, and neither.",
      "eden bench {usual}\neden bench {old} --params 1000000 --tensors 1000 --threads 1\n", bench, 1,
      1, 1, 0, CLI_OPTIMIZERS, NULL, cli_bench },
    { "help", "explain a command", "[COMMAND]", "Explains a command, or lists them all.",
      "eden help train\n", none, 0, 1, 0, 0, CLI_WORDS,
      "list|show|train|compare|tune|step|inspect|merge|plot|trace|advise|evidence|bench|help",
      cli_help },
    { "generate", "write the man page or the completion", "man|completion",
      "Writes the man page, or the completion for bash, to stdout.",
      "eden generate man > eden.1\n", none, 1, 1, 0, 1, CLI_WORDS, "man|completion",
      cli_generate },
};

const cli_command *cli_command_at(size_t i)
{
    return i < sizeof commands / sizeof *commands ? &commands[i] : NULL;
}

const cli_command *cli_command_find(const char *name)
{
    const cli_command *command;
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++)
        if (!strcmp(command->name, name)) return command;
    return NULL;
}
