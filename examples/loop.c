#include <eden/eden.h>
#include <stdio.h>

int main(void)
{
    float w[2] = { 0, 0 }, grad[2];
    eden_error error;
    eden_optimizer *opt = NULL;
    eden_tensor tensor = eden_vector(w, grad, 2);
    if (eden_optimizer_create(&opt, "adam", NULL, &error) ||
        eden_set(opt, NULL, "lr", 0.1, &error) ||
        eden_add_tensor(opt, "w", &tensor, NULL, &error))
        return fprintf(stderr, "%s\n", error.text), 1;
    for (int i = 0; i < 500; i++) {
        if (eden_zero_grad(opt, &error)) break;
        grad[0] += 2 * (w[0] - 3);          /* the gradient of your loss */
        grad[1] += 2 * (w[1] + 1);
        if (eden_step(opt, &error)) break;
    }
    printf("%.3f %.3f\n", w[0], w[1]);
    eden_optimizer_destroy(opt);
}
