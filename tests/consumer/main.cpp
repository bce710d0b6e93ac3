// A C++ program against the installed headers and library.
#include <eden/eden.h>
#include <eden/safetensors.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

int main()
{
    if (std::strcmp(eden_version(), EDEN_VERSION) != 0) return 1;
    std::vector<float> w(6, 0.0f), grad(6, 0.0f);
    eden_error error;
    eden_optimizer *opt = nullptr;
    eden_config config = EDEN_CONFIG_INIT;
    eden_tensor tensor = eden_matrix(w.data(), grad.data(), 2, 3);
    config.clip_norm = 100;
    if (eden_optimizer_create(&opt, "momentum", &config, &error) ||
        eden_add_tensor(opt, "w", &tensor, nullptr, &error)) {
        std::fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    for (int i = 0; i < 400; i++) {
        if (eden_zero_grad(opt, &error)) return 3;
        for (std::size_t k = 0; k < w.size(); k++)
            grad[k] += 2 * (w[k] - static_cast<float>(k));
        if (eden_step(opt, &error)) return 4;
    }
    for (std::size_t k = 0; k < w.size(); k++)
        if (std::fabs(w[k] - static_cast<float>(k)) > 0.01f) return 5;

    // A refusal arrives as a sentence, not as an exception.
    if (eden_set(opt, nullptr, "lr", -1, &error) != EDEN_E_VALUE) return 6;
    std::printf("%s\n", error.text);
    eden_optimizer_destroy(opt);
    return 0;
}
