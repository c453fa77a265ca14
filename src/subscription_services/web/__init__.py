"""Toolkit of pages and API: layout, components, forms, problem details, route table. It knows no room.

A room adds a page with a thin handler, a template in its own `templates/` and a row in its `routes`:

    # identity/pages.py
    async def show_sign_up(call: Call) -> Response:
        return call.render("identity/sign_up.html", form=FormState())

    async def sign_up(call: Call) -> Response:
        done = await call.submit(operations.sign_up, secrets={"password"})
        if done.form is not None:
            return call.render("identity/sign_up.html", done.status, form=done.form)
        return call.go("/sign-up/sent")

    routes = (
        get("/sign-up", show_sign_up, public="people without an account open one here"),
        post("/sign-up", sign_up, operations.sign_up),
    )

    {# identity/templates/sign_up.html #}
    {% extends "layout.html" %}
    {% block title %}Sign up{% endblock %}
    {% block width %}narrow{% endblock %}
    {% block main %}
    {{ ui.page_header("Open your account") }}
    {{ ui.error_summary(form) }}
    {% call ui.form(view, "/sign-up") %}
      {{ ui.field(form, "email", "E-mail address", type="email", autocomplete="email") }}
      {{ ui.password_field(form, autocomplete="new-password") }}
      {{ ui.button("Open account", busy="Opening…") }}
    {% endcall %}
    {% endblock %}

A form's names are those of the operation's request; checkboxes post "true". A change can only be performed by the
route that declares it. What the person can correct comes back beside the field, what another page solves (signing
in, confirming) leads there. The components are in templates/components.html, shown at /development/components.
"""
